// What a request costs while few and while many other things are there: live
// workers, connections. Two daemons at once, one with few and one with many, so
// that both are measured in turn. And what telling of events costs.
#include <sys/resource.h>

#include <cerrno>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "tools/benchmark/cases.h"
#include "tools/benchmark/measure.h"

namespace forkserver::benchmark {
namespace {

constexpr int kFewWorkers = 10;
constexpr int kManyWorkers = 10'000;
constexpr int kManyConnections = 5'000;  // the daemon has two for each
constexpr int kMuchLess = 20;            // of them, when quick
constexpr rlim_t kSpareDescriptors = 200;
constexpr int kSubscribers = 10;
constexpr int kWorkersToTellOf = 100;
constexpr int kRounds = 500;
constexpr int kEventRounds = 30;

// Does one thing with a client.
using Step = std::function<Result<void>(Client&)>;

int Many(const CaseContext& context, int many) {
  return context.quick ? many / kMuchLess : many;
}

Result<PrivateDaemon> StartWithSleepers(const CaseContext& context, bool zygote,
                                        int count, const Step& start_sleeper) {
  auto daemon = PrivateDaemon::Start(context.programs);
  if (!daemon) return daemon;
  if (zygote) {
    if (auto started = daemon->StartZygote(context.programs); !started) {
      return started.error();
    }
  }
  for (int i = 0; i < count; ++i) {
    if (auto begun = start_sleeper(daemon->client()); !begun) {
      return begun.error();
    }
  }
  return daemon;
}

// Of `request` to a daemon with few and to one with many of `what`.
Rows CompareDaemons(const CaseContext& context, const std::string& group,
                    const std::string& what, int few_of_them, Client& few,
                    int many_of_them, Client& many, const Step& request,
                    double most) {
  const std::string few_name = what + "_" + std::to_string(few_of_them);
  const std::string many_name = what + "_" + std::to_string(many_of_them);
  auto measured = Interleave({Timed(few_name, [&] { return request(few); }),
                              Timed(many_name, [&] { return request(many); })},
                             context.PaceOf(kRounds, kNoIdle));
  if (!measured) return measured.error();
  return MakeRows(group, *measured, {{many_name, few_name, Aim{most}}});
}

Rows MeasureLive(const CaseContext& context, const std::string& group,
                 bool zygote, const Step& start_sleeper, const Step& request) {
  auto few = StartWithSleepers(context, zygote, kFewWorkers, start_sleeper);
  if (!few) return few.error();
  const int count = Many(context, kManyWorkers);
  auto many = StartWithSleepers(context, zygote, count, start_sleeper);
  if (!many) return many.error();
  return CompareDaemons(context, group, "live", kFewWorkers, few->client(),
                        count, many->client(), request, 1.2);
}

Result<void> Done(const Result<Worker>& worker) {
  return worker ? Result<void>() : worker.error();
}

// Both sides of a connection need a descriptor; the daemon has the limit of
// the benchmark.
bool CanOpen(rlim_t descriptors) {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
  const rlim_t wanted = descriptors + kSpareDescriptors;
  if (limit.rlim_cur >= wanted) return true;
  if (limit.rlim_max < wanted) return false;
  limit.rlim_cur = wanted;
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

// What `pid` has computed. 0 where the system does not say.
std::int64_t ProcessorNs(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/schedstat");
  std::int64_t ns = 0;
  file >> ns;
  return ns;
}

// The daemon's processor time for each event that a subscriber was told of.
Contender TellingOfEvents(const PrivateDaemon& daemon, Client& client,
                          std::vector<Client>& subscribers, const int& told,
                          const SpawnOptions& options) {
  Contender contender;
  contender.series = {"told"};
  contender.warm_up = false;
  contender.run =
      [&](std::chrono::microseconds) -> Result<std::vector<double>> {
    const std::int64_t begun_ns = ProcessorNs(daemon.pid());
    const int told_before = told;
    for (int i = 0; i < kWorkersToTellOf; ++i) {
      if (auto done = RunToExit(client, options); !done) return done.error();
      for (Client& subscriber : subscribers) {
        if (auto done = subscriber.Process(); !done) return done.error();
      }
    }
    if (told == told_before) {
      return MakeError(error_code::kSystem, "no subscriber was told anything");
    }
    return std::vector<double>{
        ToMicroseconds(ProcessorNs(daemon.pid()) - begun_ns) /
        (told - told_before)};
  };
  return contender;
}

}  // namespace

Rows MeasureLiveExec(const CaseContext& context) {
  const SpawnOptions sleeper = SpawnRequest({context.programs.tiny, "sleep"});
  const SpawnOptions options = SpawnRequest({context.programs.tiny});
  return MeasureLive(
      context, "live_exec", /*zygote=*/false,
      [&](Client& client) { return Done(client.Spawn(sleeper)); },
      [&](Client& client) { return RunToExit(client, options); });
}

Rows MeasureLiveForked(const CaseContext& context) {
  const ForkOptions sleeper = ForkRequest("sleep");
  const ForkOptions options = ForkRequest("nothing");
  return MeasureLive(
      context, "live_forked", /*zygote=*/true,
      [&](Client& client) { return Done(client.Fork(sleeper)); },
      [&](Client& client) { return RunToExit(client, options); });
}

Rows MeasureConnections(const CaseContext& context) {
  const std::string group = "connections";
  const int count = Many(context, kManyConnections);
  if (!CanOpen(static_cast<rlim_t>(count))) {
    context.skip(group + ": the limit of open files is too low");
    return std::vector<Row>{};
  }
  auto few = PrivateDaemon::Start(context.programs);
  if (!few) return few.error();
  auto many = PrivateDaemon::Start(context.programs);
  if (!many) return many.error();
  std::vector<Client> clients;
  while (static_cast<int>(clients.size()) < count - 1) {
    auto client = many->Connect();
    if (!client) return client.error();
    clients.push_back(*std::move(client));
  }
  const SpawnOptions options = SpawnRequest({context.programs.tiny});
  return CompareDaemons(
      context, group, "open", 1, few->client(), count, many->client(),
      [&](Client& client) { return RunToExit(client, options); }, 1.3);
}

Rows MeasureEvents(const CaseContext& context) {
  auto daemon = PrivateDaemon::Start(context.programs);
  if (!daemon) return daemon.error();
  if (ProcessorNs(daemon->pid()) == 0) {
    context.skip("events: the system does not say what a process computed");
    return std::vector<Row>{};
  }
  int told = 0;
  std::vector<Client> subscribers;
  while (subscribers.size() < kSubscribers) {
    auto client = daemon->Connect();
    if (!client) return client.error();
    subscribers.push_back(*std::move(client));
    auto begun =
        subscribers.back().Subscribe([&told](const Event&) { ++told; });
    if (!begun) return begun.error();
  }
  const SpawnOptions options = SpawnRequest({context.programs.tiny});
  auto measured = Interleave(
      {TellingOfEvents(*daemon, daemon->client(), subscribers, told, options)},
      context.PaceOf(kEventRounds, kNoIdle));
  if (!measured) return measured.error();
  return MakeRows("events", *measured, {{"told", "", {}}});
}

}  // namespace forkserver::benchmark
