// The exit records of the last workers that ended. Older ones give way. What
// they say of crashes is longer, and goes earlier.
#pragma once

#include <forkserver/types.h>

#include <cstddef>
#include <deque>
#include <unordered_map>
#include <utility>

#include "server/launch/launch_event.h"

namespace forkserver::server {

class RecordRing {
 public:
  static constexpr std::size_t kCapacity = 10'000;
  static constexpr std::size_t kCrashes = 500;

  explicit RecordRing(std::size_t capacity = kCapacity) : capacity_(capacity) {}

  void Add(ProcessKey key, ExitRecord record) {
    if (order_.size() == capacity_) {
      records_.erase(order_.front());
      order_.pop_front();
    }
    order_.push_back(key);
    if (record.crash) {
      crashes_.push_back(key);
      if (crashes_.size() > kCrashes) {
        const auto oldest = records_.find(crashes_.front());
        if (oldest != records_.end()) oldest->second.crash.reset();
        crashes_.pop_front();
      }
    }
    records_[key] = std::move(record);
  }
  // nullptr if it is not there (any more). Valid until the next Add.
  const ExitRecord* Find(ProcessKey key) const {
    const auto found = records_.find(key);
    return found == records_.end() ? nullptr : &found->second;
  }
  std::size_t size() const { return order_.size(); }
  // The oldest first.
  const std::deque<ProcessKey>& order() const { return order_; }

 private:
  std::size_t capacity_;
  std::deque<ProcessKey> order_;
  std::deque<ProcessKey> crashes_;  // not more than kCrashes
  std::unordered_map<ProcessKey, ExitRecord> records_;
};

}  // namespace forkserver::server
