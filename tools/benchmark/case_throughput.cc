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
                  std::function<Result<void>()> bare_loop, Client& client,
                  const AsyncRequest& request) {
  const auto in_flight = [&](int many) {
    return Rate("in_flight_" + std::to_string(many), [&client, &request, many] {
      return RunInFlight(client, request, kBatch, many);
    });
  };
  auto measured =
      Interleave({As(Role::kLimit, Rate(bare_name, std::move(bare_loop))),
                  in_flight(1), in_flight(kManyInFlight)},
                 context.PaceOf(kBatches, kNoIdle));
  if (!measured) return measured.error();
  return MakeRows(
      group, *measured,
      {{"in_flight_1", bare_name, {}}, {"in_flight_32", bare_name, {}}},
      kRequestsPerSecond);
}

}  // namespace

Rows MeasureThroughputExec(const CaseContext& context) {
  auto daemon = PrivateDaemon::Start(context.programs);
  if (!daemon) return daemon.error();
  auto bare = BareProgram::Create(context.programs.tiny);
  if (!bare) return bare.error();
  Client& client = daemon->client();
  const SpawnOptions options = SpawnRequest({context.programs.tiny});
  return MeasureRates(
      context, "throughput_exec", "vfork_exec",
      [&bare]() -> Result<void> {
        for (int i = 0; i < kBatch; ++i) {
          if (auto done = bare->VforkAndWait(); !done) return done;
        }
        return {};
      },
      client, [&](auto done) { client.SpawnAsync(options, std::move(done)); });
}

Rows MeasureThroughputForked(const CaseContext& context) {
  auto daemon = PrivateDaemon::Start(context.programs);
  if (!daemon) return daemon.error();
  if (auto started = daemon->StartZygote(context.programs); !started) {
    return started.error();
  }
  auto helper = Helper::Start({{context.programs.zygote, "fork_and_wait"}});
  if (!helper) return helper.error();
  Client& client = daemon->client();
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
      client, [&](auto done) { client.ForkAsync(options, std::move(done)); });
}

}  // namespace forkserver::benchmark
