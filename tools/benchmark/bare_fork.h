// What the benchmark asks of its zygote program when that runs by hand: to
// fork and wait itself, in a process of the same binary and the same mappings.
#pragma once

#include <cstdint>

namespace forkserver::benchmark {

struct BareForkQuestion {
  std::int64_t idle_us = 0;  // slept before
  std::int64_t count = 1;    // forks, one after the other
};

struct BareForkAnswer {
  std::int64_t first_ns = 0;  // of the last: from the fork to its stamp
  std::int64_t exit_ns = 0;   // of the last: from the fork to its end
  std::int64_t total_ns = 0;  // of all
};

}  // namespace forkserver::benchmark
