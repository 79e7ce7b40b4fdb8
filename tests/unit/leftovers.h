// NoLeftovers: what a test case must not leave behind. Make one first in the
// case; its destructor checks.
#pragma once

#include <doctest/doctest.h>
#include <sys/wait.h>

#include <cerrno>

#include "sdk/process/platform.h"

namespace forkserver::testing {

class NoLeftovers {
 public:
  NoLeftovers() : open_fds_(CountOpenFds()) {}
  NoLeftovers(const NoLeftovers&) = delete;
  NoLeftovers& operator=(const NoLeftovers&) = delete;
  ~NoLeftovers() {
    CHECK_MESSAGE(CountOpenFds() == open_fds_, "descriptors were leaked");
    // Neither a running child nor a zombie.
    CHECK_MESSAGE(::waitpid(-1, nullptr, WNOHANG) == -1, "a child was left");
    CHECK(errno == ECHILD);
  }

 private:
  const int open_fds_;
};

}  // namespace forkserver::testing
