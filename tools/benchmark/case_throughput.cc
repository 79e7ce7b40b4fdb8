// Requests per second with one and with many in flight, against loops that do
// the same without a daemon. A sample is a batch of requests.
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tools/benchmark/bare.h"
#include "tools/benchmark/bare_fork.h"
#include "tools/benchmark/cases.h"
#include "tools/benchmark/command.h"
#include "tools/benchmark/measure.h"

namespace forkserver::benchmark {
namespace {

constexpr int kBatch = 320;
constexpr int kManyInFlight = 32;
constexpr std::size_t kManyClients = 16;
constexpr int kBatches = 30;

// The rate of `batch`, which does kBatch of them.
Contender Rate(std::string name, std::function<Result<void>()> batch) {
  Contender contender = Timed(std::move(name), std::move(batch));
  contender.run =
      [timed = std::move(contender.run)](
          std::chrono::microseconds idle) -> Result<std::vector<double>> {
    auto elapsed_us = timed(idle);
    if (!elapsed_us) return elapsed_us.error();
    return std::vector<double>{kBatch * 1e6 / elapsed_us->front()};
  };
  contender.warm_up = false;
  return contender;
}

Rows MeasureRates(const CaseContext& context, const std::string& group,
                  const std::string& bare_name,
                  std::function<Result<void>()> bare_loop,
                  PrivateDaemon& daemon, const AsyncRequest& request,
                  double aim) {
  std::vector<Client> more;
  while (more.size() < kManyClients - 1) {
    auto client = daemon.Connect();
    if (!client) return client.error();
    more.push_back(*std::move(client));
  }
  std::vector<Client*> all = {&daemon.client()};
  for (Client& client : more) all.push_back(&client);

  const auto in_flight = [&](const char* name, std::vector<Client*> clients,
                             int many) {
    return Rate(name, [clients = std::move(clients), &request, many] {
      return RunInFlight(clients, request, kBatch, many);
    });
  };
  auto measured =
      Interleave({As(Role::kLimit, Rate(bare_name, std::move(bare_loop))),
                  in_flight("in_flight_1", {all.front()}, 1),
                  in_flight("in_flight_32", {all.front()}, kManyInFlight),
                  in_flight("16_clients", all, kManyInFlight)},
                 context.PaceOf(kBatches, kNoIdle));
  if (!measured) return measured.error();
  const Aim least{aim, /*at_least=*/true};
  return MakeRows(group, *measured,
                  {{"in_flight_1", bare_name, {}},
                   {"in_flight_32", bare_name, least},
                   {"16_clients", bare_name, least}},
                  kRequestsPerSecond);
}

}  // namespace

Rows MeasureThroughputExec(const CaseContext& context) {
  auto daemon = PrivateDaemon::Start(context.programs);
  if (!daemon) return daemon.error();
  auto bare = BareProgram::Create(context.programs.tiny);
  if (!bare) return bare.error();
  const SpawnOptions options = SpawnRequest({context.programs.tiny});
  return MeasureRates(
      context, "throughput_exec", "vfork_exec",
      [&bare]() -> Result<void> {
        for (int i = 0; i < kBatch; ++i) {
          if (auto done = bare->VforkAndWait(); !done) return done;
        }
        return {};
      },
      *daemon,
      [&](Client& client, auto done) {
        client.SpawnAsync(options, std::move(done));
      },
      0.85);
}

Rows MeasureThroughputForked(const CaseContext& context) {
  auto daemon = PrivateDaemon::Start(context.programs);
  if (!daemon) return daemon.error();
  if (auto started = daemon->StartZygote(context.programs); !started) {
    return started.error();
  }
  auto helper = Helper::Start({{context.programs.zygote, "fork_and_wait"}});
  if (!helper) return helper.error();
  const ForkOptions options = ForkRequest("nothing");
  return MeasureRates(
      context, "throughput_forked", "fork",
      [&helper] {
        BareForkQuestion question;
        question.count = kBatch;
        BareForkAnswer answer;
        return helper->Ask(&question, sizeof(question), &answer,
                           sizeof(answer));
      },
      *daemon,
      [&](Client& client, auto done) {
        client.ForkAsync(options, std::move(done));
      },
      0.8);
}

}  // namespace forkserver::benchmark
