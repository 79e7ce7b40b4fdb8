// What the test programs of the benchmark have in common: a set-up that costs
// processor time, and many small tests.
#pragma once

#include <ctime>

namespace forkserver::benchmark {

inline constexpr int kManyTests = 5'000;

// 200 ms of processor time, as programs spend it on tables and parsers. What
// it returns is not 0.
inline unsigned SetUpSlowly() {
  timespec begun = {};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begun);
  unsigned value = 1;
  for (;;) {
    for (int i = 0; i < 100'000; ++i)
      value = value * 1'664'525u + 1'013'904'223u;
    timespec now = {};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    const long long spent_ns = (now.tv_sec - begun.tv_sec) * 1'000'000'000LL +
                               (now.tv_nsec - begun.tv_nsec);
    if (spent_ns >= 200'000'000) break;
  }
  return value | 1u;
}

}  // namespace forkserver::benchmark
