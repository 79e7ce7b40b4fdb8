// The clock of a run: monotonic time without the time that the run was
// stopped (SIGTSTP). Every timeout, delay and tick is measured on it. Passive.
#pragma once

#include <cstdint>
#include <limits>

#include "sdk/process/platform.h"

namespace forkserver::harness {

class RunClock {
 public:
  explicit RunClock(std::int64_t (*now_ns)() = MonotonicNanoseconds)
      : now_ns_(now_ns) {}

  std::int64_t NowNs() const {
    return (stopped_at_ns_ != 0 ? stopped_at_ns_ : now_ns_()) - missed_ns_;
  }
  void Stop() { stopped_at_ns_ = now_ns_(); }
  void GoOn() {
    if (stopped_at_ns_ != 0) missed_ns_ += now_ns_() - stopped_at_ns_;
    stopped_at_ns_ = 0;
  }

 private:
  std::int64_t (*now_ns_)();
  std::int64_t missed_ns_ = 0;
  std::int64_t stopped_at_ns_ = 0;  // 0: it runs
};

// The earliest of several times.
class NextTime {
 public:
  void Consider(std::int64_t time_ns) {
    if (time_ns < earliest_ns_) earliest_ns_ = time_ns;
  }
  // For PollSet::Wait: not before the earliest time, -1 if there is none.
  int TimeoutMs(std::int64_t now_ns) const {
    if (earliest_ns_ == kNever) return -1;
    if (earliest_ns_ <= now_ns) return 0;
    const std::int64_t wait_ms = (earliest_ns_ - now_ns) / 1'000'000 + 1;
    return wait_ms > kMostMs ? kMostMs : static_cast<int>(wait_ms);
  }

 private:
  static constexpr std::int64_t kNever =
      std::numeric_limits<std::int64_t>::max();
  static constexpr int kMostMs = 60'000;
  std::int64_t earliest_ns_ = kNever;
};

}  // namespace forkserver::harness
