// A forked worker, from the request to the first instruction of its entry and
// to its exit record, against fork + wait in the zygote's program run by hand.
#include <string>
#include <vector>

#include "tools/benchmark/bare_fork.h"
#include "tools/benchmark/cases.h"
#include "tools/benchmark/command.h"
#include "tools/benchmark/measure.h"

namespace forkserver::benchmark {
namespace {

constexpr int kWarmRounds = 1000;
constexpr int kColdRounds = 150;
constexpr int kLargeRounds = 40;
constexpr int kBusyRounds = 300;
constexpr char kSpares[] = "benchmark/spares";
constexpr char kLarge[] = "benchmark/large";

using Values = Result<std::vector<double>>;

Contender BareFork(Helper& helper) {
  Contender contender;
  contender.series = {"fork/first", "fork/exit"};
  contender.run = [&helper](std::chrono::microseconds idle) -> Values {
    BareForkQuestion question;
    // It sleeps itself: being asked must not warm it.
    question.idle_us = idle.count();
    // The last one is told of; the others warm.
    question.count = idle.count() > 0 ? 1 : 2;
    BareForkAnswer answer;
    auto asked =
        helper.Ask(&question, sizeof(question), &answer, sizeof(answer));
    if (!asked) return asked.error();
    return std::vector<double>{ToMicroseconds(answer.first_ns),
                               ToMicroseconds(answer.exit_ns)};
  };
  contender.warm_up = false;
  contender.role = Role::kLimit;
  return contender;
}

Contender Forked(const std::string& way, Client& client,
                 const ForkOptions& options, Stamp& stamp) {
  Contender contender;
  contender.series = {way + "/first", way + "/exit"};
  contender.run = [&](std::chrono::microseconds idle) -> Values {
    Idle(idle);
    const std::int64_t begun_ns = NowNs();
    if (auto done = RunToExit(client, options); !done) return done.error();
    const std::int64_t ended_ns = NowNs();
    return std::vector<double>{
        ToMicroseconds(stamp.load(std::memory_order_acquire) - begun_ns),
        ToMicroseconds(ended_ns - begun_ns)};
  };
  return contender;
}

// Until the client knows that its worker runs, which then goes on.
Contender Answer(const std::string& way, Client& client,
                 const ForkOptions& options) {
  Contender contender;
  contender.series = {way};
  contender.run = [&client, options](std::chrono::microseconds) -> Values {
    const std::int64_t begun_ns = NowNs();
    auto worker = client.Fork(options);
    const std::int64_t took_ns = NowNs() - begun_ns;
    if (!worker) return worker.error();
    auto stopped = client.Stop(worker->id, std::chrono::milliseconds(0));
    if (!stopped) return stopped.error();
    return std::vector<double>{ToMicroseconds(took_ns)};
  };
  contender.warm_up = false;
  return contender;
}

}  // namespace

Rows MeasureForked(const CaseContext& context) {
  auto daemon = PrivateDaemon::Start(context.programs);
  if (!daemon) return daemon.error();
  if (auto started = daemon->StartZygote(context.programs); !started) {
    return started.error();
  }
  ZygoteOptions with_spares;
  with_spares.name = kSpares;
  with_spares.spares_max = 2;
  if (auto started = daemon->StartZygote(context.programs, with_spares);
      !started) {
    return started.error();
  }
  auto helper = Helper::Start({{context.programs.zygote, "fork_and_wait"}});
  if (!helper) return helper.error();
  const ForkOptions options = ForkRequest("stamp");
  const ForkOptions spare = ForkRequest("stamp", kSpares);
  std::vector<Contender> contenders = {
      BareFork(*helper),
      Forked("forkserverd", daemon->client(), options, *context.stamp),
      Timed("fork_and_wait",
            [&] { return ForkAndWait(daemon->client(), options); })};

  std::vector<Row> rows;
  for (const bool warm : {true, false}) {
    // Back to back there is no time to fork them in advance.
    if (!warm) {
      contenders.push_back(
          Forked("spare", daemon->client(), spare, *context.stamp));
    }
    auto measured =
        Interleave(contenders, context.PaceOf(warm ? kWarmRounds : kColdRounds,
                                              warm ? kNoIdle : kColdIdle));
    if (!measured) return measured.error();
    std::vector<Comparison> comparisons = {
        {"forkserverd/first", "fork/first", Aim{warm ? 2.3 : 1.6}},
        {"forkserverd/exit", "fork/exit", Aim{warm ? 3.3 : 1.8}},
        {"fork_and_wait", "fork/exit", {}}};
    if (!warm) {
      comparisons.push_back({"spare/first", "fork/first", Aim{0.45}});
      comparisons.push_back({"spare/exit", "fork/exit", {}});
    }
    Append(rows, MakeRows(warm ? "forked/warm" : "forked/cold", *measured,
                          comparisons));
  }
  return rows;
}

Rows MeasureForkedLarge(const CaseContext& context) {
  auto daemon = PrivateDaemon::Start(context.programs);
  if (!daemon) return daemon.error();
  ZygoteOptions large;
  large.name = kLarge;
  large.preload = {"gigabyte"};
  if (auto started = daemon->StartZygote(context.programs, large); !started) {
    return started.error();
  }
  // By hand, where nothing moves its memory.
  auto helper = Helper::Start(
      {{context.programs.zygote, "--preload", "gigabyte", "fork_and_wait"}});
  if (!helper) return helper.error();
  const ForkOptions options = ForkRequest("stamp", kLarge);
  auto measured = Interleave(
      {BareFork(*helper),
       Forked("forkserverd", daemon->client(), options, *context.stamp)},
      context.PaceOf(kLargeRounds, kNoIdle));
  if (!measured) return measured.error();
  return MakeRows("forked_large", *measured,
                  {{"forkserverd/first", "fork/first", {}},
                   {"forkserverd/exit", "fork/exit", Aim{0.2}}});
}

Rows MeasureForkedBusy(const CaseContext& context) {
  auto daemon = PrivateDaemon::Start(context.programs);
  if (!daemon) return daemon.error();
  if (auto started = daemon->StartZygote(context.programs); !started) {
    return started.error();
  }
  auto measured =
      Interleave({Answer("idle worker", daemon->client(), ForkRequest("sleep")),
                  Answer("busy worker", daemon->client(), ForkRequest("spin"))},
                 context.PaceOf(kBusyRounds, kNoIdle));
  if (!measured) return measured.error();
  return MakeRows("forked_busy", *measured,
                  {{"busy worker", "idle worker", Aim{1.3}}});
}

}  // namespace forkserver::benchmark
