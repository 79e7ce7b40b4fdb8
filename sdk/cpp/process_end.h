// Waiting for the end of a child without a thread, a signal handler or a busy
// loop.
#pragma once

#include "sdk/cpp/deadline.h"

namespace forkserver {

// Blocks until the process of `process_fd` (from OpenProcess) has ended, the
// deadline has passed or a signal came. Invalid descriptor (-1), where the
// system has none: returns after 10 ms at the latest, so that the caller can
// look with waitpid(2) again.
void AwaitProcessEnd(int process_fd, const Deadline& deadline);

}  // namespace forkserver
