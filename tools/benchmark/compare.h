// Two runs of the benchmark against each other: what changed, and whether it
// is more than noise. docs/performance.md says the rule.
#pragma once

#include <forkserver/result.h>

#include <string>
#include <vector>

#include "tools/benchmark/figures.h"

namespace forkserver::benchmark {

enum class Finding {
  kNoise,
  kBeyondNoise,
  kCannotTell,  // too few samples, or a median that is not above 0
  kOnlyBefore,
  kOnlyNow,
};

struct Change {
  std::string name;
  std::string unit;
  std::string reference;  // empty: medians are compared, not ratios
  Finding finding = Finding::kCannotTell;
  double before = 0;
  double now = 0;
  // Both as shares: 0.1 is a tenth more.
  double change = 0;
  double noise = 0;
  std::string aim;  // "met, was missed", where that changed
};

// Fewer samples say nothing about their spread.
inline constexpr std::size_t kFewestSamples = 10;

// In the order of `now`, then what only `before` has. Fails where they have no
// row in common.
Result<std::vector<Change>> Compare(const Figures& before, const Figures& now);

// What makes runs hard to compare: another machine, disturbed samples.
std::vector<std::string> Doubts(const Figures& before, const Figures& now);

void PrintChanges(const std::vector<Change>& changes);

}  // namespace forkserver::benchmark
