#include "tools/harness/run/capture.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "sdk/base/unix_socket.h"

namespace forkserver::harness {

void BoundedText::Append(std::string_view text) {
  total_ += text.size();
  const std::size_t to_head = std::min(text.size(), kHeadBytes - head_.size());
  head_.append(text.substr(0, to_head));
  text.remove_prefix(to_head);
  if (text.empty()) return;
  if (text.size() > kTailBytes) text.remove_prefix(text.size() - kTailBytes);
  // Moved rarely: each byte at most once more for each that is appended.
  if (tail_.size() + text.size() > 2 * kTailBytes) {
    tail_.erase(0, tail_.size() - std::min(tail_.size(), kTailBytes));
  }
  tail_.append(text);
}

CapturedText BoundedText::Peek() const {
  CapturedText text;
  text.head = head_;
  text.tail = tail_.size() <= kTailBytes
                  ? tail_
                  : tail_.substr(tail_.size() - kTailBytes);
  text.dropped_bytes = total_ - text.head.size() - text.tail.size();
  return text;
}

CapturedText BoundedText::Take() {
  if (total_ == 0) return {};
  CapturedText text = Peek();
  *this = {};
  return text;
}

Result<OutputPipe> OutputPipe::Open() {
  Result<Pipe> pipe = MakePipe();
  if (!pipe) return pipe.error();
  // Only our end: the test's own must wait, as it would in a shell.
  SetNonBlocking(pipe->read_end.get());
  return OutputPipe(std::move(pipe->read_end), std::move(pipe->write_end));
}

OutputPipe::State OutputPipe::Drain(const Sink& sink, std::size_t most) {
  static char buffer[64u << 10];
  for (std::size_t total = 0; total < most;) {
    const ssize_t size = ::read(read_end_.get(), buffer, sizeof(buffer));
    if (size == 0) return State::kEnded;
    if (size < 0) {
      if (errno == EINTR) continue;
      // Anything but "nothing now" cannot be read on.
      return errno == EAGAIN || errno == EWOULDBLOCK ? State::kOpen
                                                     : State::kEnded;
    }
    sink({buffer, static_cast<std::size_t>(size)});
    total += static_cast<std::size_t>(size);
  }
  return State::kMore;
}

}  // namespace forkserver::harness
