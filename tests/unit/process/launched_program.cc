#include "tests/unit/process/launched_program.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "sdk/base/unix_socket.h"
#include "tests/unit/run_in_child.h"

namespace forkserver::testing {
namespace {

int NullFd() {
  static const int fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  return fd;
}

}  // namespace

ExecPlan PlanForSetup(const protocol::Setup& setup,
                      const std::vector<UniqueFd>& received) {
  auto child = PrepareChildPlan(setup, received, NullFd(), {});
  REQUIRE(child);
  ExecPlan plan;
  plan.child = *std::move(child);
  plan.argv = setup.argv;
  plan.env = setup.env;
  plan.candidates = FindCandidates(setup.argv.at(0), setup.env);
  return plan;
}

ExecPlan PlanFor(std::vector<std::string> argv, int output_fd) {
  protocol::Setup setup;
  setup.argv = std::move(argv);
  setup.cwd = "/";
  if (const char* path = std::getenv("PATH")) {
    setup.env = {std::string("PATH=") + path};
  }
  ExecPlan plan = PlanForSetup(setup, {});
  if (output_fd >= 0) plan.child.fds.at(1).source = output_fd;
  return plan;
}

Result<void> AwaitStarted(ExecLaunch& launch) {
  for (;;) {
    pollfd waiting = {launch.status_fd(), POLLIN, 0};
    if (::poll(&waiting, 1, -1) < 0) {
      REQUIRE(errno == EINTR);
      continue;
    }
    Result<bool> runs = launch.ReadStatus();
    if (!runs) return runs.error();
    if (*runs) return {};
  }
}

int Reap(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) REQUIRE(errno == EINTR);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

Ended LaunchAndReap(ExecPlan plan) {
  auto launch = ExecLaunch::Start(std::move(plan));
  if (!launch) return {launch.error(), 0, {}};
  Ended ended{AwaitStarted(*launch), 0, {}};
  ended.code = Reap(launch->pid());
  return ended;
}

Ended LaunchAndReap(std::vector<std::string> argv, LaunchMethod method) {
  auto pipe = MakePipe();
  REQUIRE(pipe);
  ExecPlan plan = PlanFor(std::move(argv), pipe->write_end.get());
  plan.method = method;
  auto launch = ExecLaunch::Start(std::move(plan));
  if (!launch) return {launch.error(), 0, {}};
  Ended ended{AwaitStarted(*launch), 0, {}};
  pipe->write_end.Reset();
  ended.output = ReadAll(pipe->read_end.get());
  ended.code = Reap(launch->pid());
  return ended;
}

}  // namespace forkserver::testing
