#include "sdk/cpp/process_end.h"

#include <poll.h>

namespace forkserver {

void AwaitProcessEnd(int process_fd, const Deadline& deadline) {
  constexpr int kLookAgainMs = 10;
  // poll(2) ignores a negative descriptor.
  pollfd poll_fd = {process_fd, POLLIN, 0};
  int timeout_ms = deadline.PollTimeout();
  if (process_fd < 0 && (timeout_ms < 0 || timeout_ms > kLookAgainMs)) {
    timeout_ms = kLookAgainMs;
  }
  (void)::poll(&poll_fd, 1, timeout_ms);
}

}  // namespace forkserver
