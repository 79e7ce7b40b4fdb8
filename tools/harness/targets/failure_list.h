// The failures of a test, within bounds: a test may fail a million times.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "sdk/protocol/test_messages.h"

namespace forkserver::harness {

class FailureList {
 public:
  static constexpr std::size_t kMost = 1000;
  static constexpr std::size_t kMostBytes = 4u << 20;

  void Add(protocol::TestFailure failure) {
    const std::size_t bytes =
        failure.message.size() + failure.file.size() + failure.where.size();
    if (failures_.size() >= kMost || bytes > kMostBytes - bytes_) {
      ++left_out_;
      return;
    }
    bytes_ += bytes;
    failures_.push_back(std::move(failure));
  }
  bool empty() const { return failures_.empty() && left_out_ == 0; }

  std::vector<protocol::TestFailure> Take() {
    if (left_out_ > 0) {
      protocol::TestFailure note;
      note.message = std::to_string(left_out_) + " more failures";
      failures_.push_back(std::move(note));
    }
    return std::exchange(failures_, {});
  }

 private:
  std::vector<protocol::TestFailure> failures_;
  std::size_t bytes_ = 0;
  std::size_t left_out_ = 0;
};

}  // namespace forkserver::harness
