// What a request costs while few and while many other workers live. Two
// daemons at once, one with few and one with many, so that both are measured
// in turn.
#include <functional>
#include <string>
#include <vector>

#include "tools/benchmark/cases.h"
#include "tools/benchmark/measure.h"

namespace forkserver::benchmark {
namespace {

constexpr int kFew = 10;
constexpr int kMany = 1000;
constexpr int kRounds = 500;
constexpr double kMaxGrowth = 1.3;

// Does one thing with a client.
using Step = std::function<Result<void>(Client&)>;

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

Rows MeasureGrowth(const CaseContext& context, const std::string& group,
                   bool zygote, const Step& start_sleeper,
                   const Step& request) {
  auto few = StartWithSleepers(context, zygote, kFew, start_sleeper);
  if (!few) return few.error();
  auto many = StartWithSleepers(context, zygote, kMany, start_sleeper);
  if (!many) return many.error();
  auto measured =
      Interleave({Timed("live_10", [&] { return request(few->client()); }),
                  Timed("live_1000", [&] { return request(many->client()); })},
                 context.PaceOf(kRounds, kNoIdle));
  if (!measured) return measured.error();
  return MakeRows(group, *measured,
                  {{"live_1000", "live_10", Aim{kMaxGrowth}}});
}

Result<void> Done(const Result<Worker>& worker) {
  return worker ? Result<void>() : worker.error();
}

}  // namespace

Rows MeasureLiveExec(const CaseContext& context) {
  const SpawnOptions sleeper = SpawnRequest({context.programs.tiny, "sleep"});
  const SpawnOptions options = SpawnRequest({context.programs.tiny});
  return MeasureGrowth(
      context, "live_exec", /*zygote=*/false,
      [&](Client& client) { return Done(client.Spawn(sleeper)); },
      [&](Client& client) { return RunToExit(client, options); });
}

Rows MeasureLiveForked(const CaseContext& context) {
  const ForkOptions sleeper = ForkRequest("sleep");
  const ForkOptions options = ForkRequest("nothing");
  return MeasureGrowth(
      context, "live_forked", /*zygote=*/true,
      [&](Client& client) { return Done(client.Fork(sleeper)); },
      [&](Client& client) { return RunToExit(client, options); });
}

}  // namespace forkserver::benchmark
