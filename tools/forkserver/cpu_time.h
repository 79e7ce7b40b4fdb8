// How much processor time a process of this user has used.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

namespace forkserver::cli {

struct CpuTime {
  std::int64_t own_us = 0;  // user and system, of all its threads
  // Of children that have ended and that it has waited for, and theirs.
  std::int64_t reaped_us = 0;
  std::int64_t age_us = 0;  // since it began
};

// Absent if it is gone, or may not be looked at. A zombie is still there.
std::optional<CpuTime> ReadCpuTime(pid_t pid);

}  // namespace forkserver::cli
