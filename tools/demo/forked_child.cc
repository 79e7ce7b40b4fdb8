#include "tools/demo/forked_child.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "tools/demo/framework.h"

namespace forkserver::demo {
namespace {

// True once it has ended; `status` is then its wait status.
bool WaitFor(pid_t pid, std::chrono::milliseconds patience, int& status) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (::waitpid(pid, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace

ForkedChild ForkAndCompute(std::chrono::milliseconds patience) {
  ForkedChild child;
  child.pid = ::fork();
  if (child.pid < 0) return child;
  if (child.pid == 0) {
    ::alarm(30);  // Should its parent be killed while it hangs.
    ::_exit(DotProduct() == kRightAnswer ? 0 : 1);
  }

  int status = 0;
  if (!WaitFor(child.pid, patience, status)) {
    ::kill(child.pid, SIGKILL);
    ::waitpid(child.pid, &status, 0);
    child.end = ForkedChild::End::kHung;
  } else if (WIFSIGNALED(status)) {
    child.end = ForkedChild::End::kSignal;
    child.signal = WTERMSIG(status);
  } else {
    child.end = WEXITSTATUS(status) == 0 ? ForkedChild::End::kFinished
                                         : ForkedChild::End::kWrongAnswer;
  }
  return child;
}

}  // namespace forkserver::demo
