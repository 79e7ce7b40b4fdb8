// Measures several ways of doing the same work in turn, so that the drift of
// the machine meets all of them alike: A B C A B C ...
//
// Blocking; nothing here asserts anything about time.
#pragma once

#include <forkserver/result.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace forkserver::benchmark {

// CLOCK_MONOTONIC, which all processes of the machine share.
std::int64_t NowNs();

// How long a contender is left alone before each sample.
struct Pace {
  int rounds = 0;
  // Zero: warm. Each sample then follows at once on an unrecorded one.
  std::chrono::microseconds idle{0};
  // In all, how long rounds are put off while other processes want to run.
  std::chrono::milliseconds patience{0};
};

// What a way is beside forkserverd's own.
enum class Role {
  kForkserverd,
  kLimit,  // the bare way: what the system allows
  kPeer,   // how others do it
};

// One way of doing the work.
struct Contender {
  // The series that one run yields, in the order of its values.
  std::vector<std::string> series;
  // Does it once, after `idle`.
  std::function<Result<std::vector<double>>(std::chrono::microseconds idle)>
      run;
  // Run once unrecorded before each sample, when warm.
  bool warm_up = true;
  Role role = Role::kForkserverd;
};

struct Series {
  std::string name;
  std::vector<double> samples;
  // Of them, those of rounds that began while other processes ran. Where it
  // is most of them, the machine was too busy to measure on.
  std::size_t disturbed = 0;
  Role role = Role::kForkserverd;
};

// Fails when a contender fails, with its error.
Result<std::vector<Series>> Interleave(const std::vector<Contender>& contenders,
                                       const Pace& pace);

struct Summary {
  std::size_t samples = 0;
  std::size_t disturbed = 0;
  double median = 0;
  double p99 = 0;  // the slow tail, of times and of rates
  double q1 = 0;
  double q3 = 0;
};

// `higher_is_better`: rates, whose slow tail is the low one.
Summary Summarize(const Series& series, bool higher_is_better);

}  // namespace forkserver::benchmark
