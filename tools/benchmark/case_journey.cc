// Where the time of one request goes: the journey of its exit record, with the
// client's own two ends of it. All are times of one clock.
#include <cstdint>
#include <string>
#include <vector>

#include "tools/benchmark/cases.h"
#include "tools/benchmark/measure.h"

namespace forkserver::benchmark {
namespace {

constexpr int kWarmRounds = 1000;
constexpr int kColdRounds = 150;
constexpr char kSpares[] = "benchmark/spares";

// The steps, in order. Each lasts from the one before.
const char* const kSteps[] = {
    "1_received",      // by the daemon, since the call of the SDK
    "2_launch_begun",  // decoded and checked
    "3_launched",      // the process exists
    "4_started",       // known to run its program; its entry begins
    "5_ended",         // its end is known to whoever reaps it
    "6_told",          // the SDK's call returns
};

template <typename Options>
Contender Journeys(const std::string& name, Client& client,
                   const Options& options) {
  Contender contender;
  for (const char* const step : kSteps) {
    contender.series.push_back(name + "/" + step);
  }
  contender.run =
      [&client, &options](
          std::chrono::microseconds idle) -> Result<std::vector<double>> {
    Idle(idle);
    const std::int64_t begun_ns = NowNs();
    auto record = client.Run(options);
    const std::int64_t ended_ns = NowNs();
    if (!record) return record.error();
    const Journey& journey = record->journey;
    std::vector<double> values;
    std::int64_t before_ns = begun_ns;
    for (const std::int64_t now_ns :
         {journey.received_ns, journey.launch_begun_ns, journey.launched_ns,
          journey.started_ns, journey.ended_ns, ended_ns}) {
      values.push_back(ToMicroseconds(now_ns - before_ns));
      before_ns = now_ns;
    }
    return values;
  };
  return contender;
}

}  // namespace

Rows MeasureJourney(const CaseContext& context) {
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
  const SpawnOptions exec = SpawnRequest({context.programs.tiny});
  const ForkOptions fork = ForkRequest("nothing");
  const ForkOptions spare = ForkRequest("nothing", kSpares);
  std::vector<Contender> contenders = {
      Journeys("exec", daemon->client(), exec),
      Journeys("forked", daemon->client(), fork)};

  std::vector<Row> rows;
  for (const bool warm : {true, false}) {
    // Back to back there is no time to fork them in advance.
    if (!warm) contenders.push_back(Journeys("spare", daemon->client(), spare));
    auto measured =
        Interleave(contenders, context.PaceOf(warm ? kWarmRounds : kColdRounds,
                                              warm ? kNoIdle : kColdIdle));
    if (!measured) return measured.error();
    std::vector<Comparison> without_reference;
    for (const Series& series : *measured) {
      without_reference.push_back({series.name, "", {}});
    }
    Append(rows, MakeRows(warm ? "journey/warm" : "journey/cold", *measured,
                          without_reference));
  }
  return rows;
}

}  // namespace forkserver::benchmark
