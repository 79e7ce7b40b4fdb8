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
  // When it began, by ProcessClockUs(). With its number it tells it from any
  // other process.
  std::int64_t begun_us = 0;
};

// `begun_us` may be too early by this.
constexpr std::int64_t kBegunGrainUs = 10'000;

// The clock by which the system notes the beginning of a process.
std::int64_t ProcessClockUs();

// Absent if it is gone, or may not be looked at. A zombie is still there.
std::optional<CpuTime> ReadCpuTime(pid_t pid);

}  // namespace forkserver::cli
