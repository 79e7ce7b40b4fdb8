#include "tools/benchmark/sampler.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <utility>

namespace forkserver::benchmark {
namespace {

// Linear between the two nearest ranks.
double Quantile(const std::vector<double>& sorted, double fraction) {
  const double rank = fraction * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(std::floor(rank));
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const double weight = rank - static_cast<double>(below);
  return sorted[below] * (1 - weight) + sorted[above] * weight;
}

// The fourth field of /proc/loadavg: "running/all". One is this process.
bool OthersRun() {
  std::FILE* const file = std::fopen("/proc/loadavg", "re");
  if (file == nullptr) return false;  // macOS: nobody can tell
  int running = 1;
  if (std::fscanf(file, "%*s %*s %*s %d/", &running) != 1) running = 1;
  std::fclose(file);
  return running > 1;
}

// Waits for the others, at most until `patience_ns` is used up. True: they
// still run.
bool AwaitQuiet(std::int64_t& patience_ns) {
  constexpr timespec kPause = {0, 2'000'000};
  while (OthersRun()) {
    if (patience_ns <= 0) return true;
    const std::int64_t begun_ns = NowNs();
    ::nanosleep(&kPause, nullptr);
    patience_ns -= NowNs() - begun_ns;
  }
  return false;
}

}  // namespace

std::int64_t NowNs() {
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

Result<std::vector<Series>> Interleave(const std::vector<Contender>& contenders,
                                       const Pace& pace) {
  const bool warm = pace.idle.count() == 0;
  std::vector<Series> all;
  for (const Contender& contender : contenders) {
    for (const std::string& name : contender.series) {
      all.push_back({name, {}, 0, contender.role});
      all.back().samples.reserve(static_cast<std::size_t>(pace.rounds));
    }
    // The first run pays for what is made once.
    if (auto first = contender.run({}); !first) return first.error();
  }
  std::int64_t patience_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(pace.patience)
          .count();
  for (int round = 0; round < pace.rounds; ++round) {
    const bool disturbed = AwaitQuiet(patience_ns);
    auto series = all.begin();
    for (const Contender& contender : contenders) {
      if (warm && contender.warm_up) {
        if (auto unrecorded = contender.run({}); !unrecorded) {
          return unrecorded.error();
        }
      }
      auto values = contender.run(pace.idle);
      if (!values) return values.error();
      for (const double value : *values) {
        series->samples.push_back(value);
        series->disturbed += disturbed ? 1 : 0;
        ++series;
      }
    }
  }
  return all;
}

Summary Summarize(const Series& series, bool higher_is_better) {
  std::vector<double> samples = series.samples;
  Summary summary;
  summary.samples = samples.size();
  summary.disturbed = series.disturbed;
  if (samples.empty()) return summary;
  std::sort(samples.begin(), samples.end());
  summary.median = Quantile(samples, 0.5);
  summary.p99 = Quantile(samples, higher_is_better ? 0.01 : 0.99);
  summary.q1 = Quantile(samples, 0.25);
  summary.q3 = Quantile(samples, 0.75);
  return summary;
}

}  // namespace forkserver::benchmark
