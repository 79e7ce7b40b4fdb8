// Deadline: a point in time until which a call may block. A plain value.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>

namespace forkserver {

class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  // Never passes.
  Deadline() = default;
  static Deadline Never() { return {}; }
  // Negative: now. Beyond ten years: never, so that nothing overflows.
  static Deadline After(std::chrono::milliseconds wait) {
    Deadline deadline;
    if (wait < std::chrono::hours(24 * 3650)) {
      deadline.time_ =
          Clock::now() + std::max(wait, std::chrono::milliseconds(0));
    }
    return deadline;
  }

  bool Passed() const { return time_ && Clock::now() >= *time_; }

  // For poll(2): -1 for never, else milliseconds, rounded up so that a wait
  // does not end just before the deadline.
  int PollTimeout() const {
    if (!time_) return -1;
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(*time_ - Clock::now());
    constexpr std::chrono::milliseconds kHour = std::chrono::hours(1);
    return static_cast<int>(
        std::clamp(left, std::chrono::milliseconds(0), kHour).count());
  }

  // The earlier one.
  static Deadline Earlier(const Deadline& a, const Deadline& b) {
    if (!a.time_) return b;
    if (!b.time_) return a;
    return *a.time_ <= *b.time_ ? a : b;
  }

 private:
  std::optional<Clock::time_point> time_;
};

}  // namespace forkserver
