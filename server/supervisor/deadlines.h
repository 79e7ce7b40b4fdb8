// Points in time at which the supervisor has something to look at. Passive:
// the owner asks for the next one and takes those that are due. Entries are
// not removed when what they are about ends: whoever takes one checks whether
// it still means anything, and the owner drops those that do not when there
// are many.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "server/launch/launch_event.h"

namespace forkserver::server {

// Longer than any run; keeps sums of times far from overflow.
constexpr std::int64_t kMaxDurationMs = 10LL * 365 * 24 * 3600 * 1000;

// The numbers cross upgrades: new ones come at the end.
enum class DeadlineKind {
  kTimeout,     // a worker's wall-clock timeout
  kGrace,       // the end of a stop's grace period
  kUnheard,     // a killed worker whose zygote has not reported its end
  kEntry,       // a worker has not reached its entry
  kTrees,       // the trees of stopped workers are to be looked at; key 0
  kRetiring,    // a retired zygote should have ended
  kZygoteIdle,  // a zygote may have been unused for long enough
};

// Its key is that of a zygote, not of a worker.
constexpr bool IsOfZygote(DeadlineKind kind) {
  return kind == DeadlineKind::kRetiring || kind == DeadlineKind::kZygoteIdle;
}

struct Deadline {
  std::int64_t at_ns = 0;
  ProcessKey key = 0;
  DeadlineKind kind = DeadlineKind::kTimeout;
};

class Deadlines {
 public:
  // `means_something(deadline)` is asked now and then, about as often as Add
  // is called: at most half of the entries, and a few, are dead ones.
  template <typename Predicate>
  void Add(Deadline deadline, Predicate means_something) {
    if (heap_.size() >= drop_at_) {
      std::erase_if(heap_,
                    [&](const Deadline& one) { return !means_something(one); });
      std::make_heap(heap_.begin(), heap_.end(), Later());
      drop_at_ = std::max(kFew, heap_.size() * 2);
    }
    heap_.push_back(deadline);
    std::push_heap(heap_.begin(), heap_.end(), Later());
  }
  std::optional<std::int64_t> NextNs() const {
    if (heap_.empty()) return std::nullopt;
    return heap_.front().at_ns;
  }
  // The earliest one that is due, or nullopt.
  std::optional<Deadline> TakeDue(std::int64_t now_ns) {
    if (heap_.empty() || heap_.front().at_ns > now_ns) return std::nullopt;
    std::pop_heap(heap_.begin(), heap_.end(), Later());
    const Deadline due = heap_.back();
    heap_.pop_back();
    return due;
  }
  std::size_t size() const { return heap_.size(); }
  // In no order.
  const std::vector<Deadline>& all() const { return heap_; }

 private:
  static constexpr std::size_t kFew = 64;
  struct Later {
    bool operator()(const Deadline& a, const Deadline& b) const {
      return a.at_ns > b.at_ns;
    }
  };
  std::vector<Deadline> heap_;
  std::size_t drop_at_ = kFew;
};

}  // namespace forkserver::server
