// A piece of a test that would ruin the test's own process: run in a forked
// child.
#pragma once

#include <functional>
#include <string>

namespace forkserver::testing {

struct ChildOutcome {
  std::string output;
  int wait_status = 0;

  // The exit code, or minus the signal that ended it.
  int code() const;
};

// Runs `body` in a forked child, which then leaves with the code that `body`
// returned. What `body` writes to `output_fd` is the outcome's output. Blocks
// until the child has ended and is reaped.
ChildOutcome RunInChild(const std::function<int(int output_fd)>& body);

// Writes all of `text`.
void WriteText(int fd, const std::string& text);

// Reads until end of file; blocks.
std::string ReadAll(int fd);

}  // namespace forkserver::testing
