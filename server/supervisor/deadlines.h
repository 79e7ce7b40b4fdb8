// Points in time at which the supervisor has something to look at. Passive:
// the owner asks for the next one and takes those that are due. Entries are
// never removed early; whoever takes one checks whether it still means
// anything.
#pragma once

#include <cstdint>
#include <optional>
#include <queue>
#include <vector>

#include "server/launch/launch_event.h"

namespace forkserver::server {

enum class DeadlineKind {
  kTimeout,     // a worker's wall-clock timeout
  kGrace,       // the end of a stop's grace period
  kUnheard,     // a killed worker whose zygote has not reported its end
  kRetiring,    // a retired zygote should have ended
  kZygoteIdle,  // a zygote may have been unused for long enough
};

struct Deadline {
  std::int64_t at_ns = 0;
  ProcessKey key = 0;
  DeadlineKind kind = DeadlineKind::kTimeout;
};

class Deadlines {
 public:
  void Add(Deadline deadline) { queue_.push(deadline); }
  std::optional<std::int64_t> NextNs() const {
    if (queue_.empty()) return std::nullopt;
    return queue_.top().at_ns;
  }
  // The earliest one that is due, or nullopt.
  std::optional<Deadline> TakeDue(std::int64_t now_ns) {
    if (queue_.empty() || queue_.top().at_ns > now_ns) return std::nullopt;
    const Deadline due = queue_.top();
    queue_.pop();
    return due;
  }

 private:
  struct Later {
    bool operator()(const Deadline& a, const Deadline& b) const {
      return a.at_ns > b.at_ns;
    }
  };
  std::priority_queue<Deadline, std::vector<Deadline>, Later> queue_;
};

}  // namespace forkserver::server
