// What a test writes to one of its standard streams, taken out of a pipe:
// bounded in memory, and never waited for.
#pragma once

#include <forkserver/result.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "sdk/base/unique_fd.h"
#include "tools/harness/model/test_model.h"

namespace forkserver::harness {

// The beginning and the end of a text of any length. Passive.
class BoundedText {
 public:
  static constexpr std::size_t kHeadBytes = 64u << 10;
  static constexpr std::size_t kTailBytes = 64u << 10;

  void Append(std::string_view text);
  // What was appended so far.
  CapturedText Peek() const;
  // The same, and begins anew.
  CapturedText Take();

 private:
  std::string head_;
  std::string tail_;  // up to twice kTailBytes, of which the last count
  std::uint64_t total_ = 0;
};

// One pipe: the worker gets its writing end, this object reads the other.
// Neither blocks nor keeps what was read: that goes to `sink`.
class OutputPipe {
 public:
  using Sink = std::function<void(std::string_view)>;

  static Result<OutputPipe> Open();

  // Borrowed.
  int read_fd() const { return read_end_.get(); }
  int write_fd() const { return write_end_.get(); }
  // Once the worker has its copy: until then there is no end of file.
  void CloseWriteEnd() { write_end_.Reset(); }

  enum class State {
    kOpen,   // nothing more to read now; somebody may still write
    kMore,   // as much was read as one call may
    kEnded,  // nobody can write any more
  };
  // Reads what is there, `most` bytes at most.
  static constexpr std::size_t kMostAtOnceBytes = 256u << 10;
  State Drain(const Sink& sink, std::size_t most = kMostAtOnceBytes);

 private:
  OutputPipe(UniqueFd read_end, UniqueFd write_end)
      : read_end_(std::move(read_end)), write_end_(std::move(write_end)) {}

  UniqueFd read_end_;
  UniqueFd write_end_;
};

}  // namespace forkserver::harness
