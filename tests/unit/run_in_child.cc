#include "tests/unit/run_in_child.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "sdk/base/unix_socket.h"
#include "sdk/process/platform.h"

namespace forkserver::testing {

int ChildOutcome::code() const {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status)
                                : -WTERMSIG(wait_status);
}

void WriteText(int fd, const std::string& text) {
  std::size_t written = 0;
  while (written < text.size()) {
    const ssize_t size =
        ::write(fd, text.data() + written, text.size() - written);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return;
    written += static_cast<std::size_t>(size);
  }
}

std::string ReadAll(int fd) {
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t size = ::read(fd, buffer, sizeof(buffer));
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(size));
  }
}

ChildOutcome RunInChild(const std::function<int(int output_fd)>& body) {
  auto pipe = MakePipe();
  REQUIRE(pipe);
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    ResetSignals();  // doctest's handlers are not the child's
    const struct rlimit no_core = {};
    ::setrlimit(RLIMIT_CORE, &no_core);
    pipe->read_end.Reset();
    ::_exit(body(pipe->write_end.Release()));
  }
  pipe->write_end.Reset();
  ChildOutcome outcome;
  outcome.output = ReadAll(pipe->read_end.get());
  while (::waitpid(pid, &outcome.wait_status, 0) < 0 && errno == EINTR) {
  }
  return outcome;
}

}  // namespace forkserver::testing
