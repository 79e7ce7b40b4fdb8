#include "sdk/cpp/direct_launch.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "sdk/cpp/request_setup.h"
#include "sdk/process/exec_launch.h"
#include "sdk/process/platform.h"

namespace forkserver {
namespace {

// Descriptors of the caller in the form that a plan takes, given back.
class BorrowedFds {
 public:
  explicit BorrowedFds(const std::vector<int>& fds) {
    for (const int fd : fds) fds_.emplace_back(fd);
  }
  ~BorrowedFds() {
    for (UniqueFd& fd : fds_) (void)fd.Release();
  }
  BorrowedFds(const BorrowedFds&) = delete;
  BorrowedFds& operator=(const BorrowedFds&) = delete;

  const std::vector<UniqueFd>& get() const { return fds_; }

 private:
  std::vector<UniqueFd> fds_;
};

Result<void> AwaitProgram(ExecLaunch& launch) {
  while (true) {
    Result<bool> runs = launch.ReadStatus();
    if (!runs) return runs.error();
    if (*runs) return {};
    pollfd poll_fd = {launch.status_fd(), POLLIN, 0};
    (void)::poll(&poll_fd, 1, -1);
  }
}

}  // namespace

Result<DirectProcess> LaunchDirectly(const SpawnOptions& options) {
  if (auto checked = CheckProgram(options.argv); !checked) {
    return checked.error();
  }
  if (auto policy = PreparePolicy(options); !policy) return policy.error();
  if (options.cgroup.any()) {
    return MakeError(error_code::kDisabled,
                     "limits by cgroups need a daemon, and FORKSERVER_DISABLE "
                     "is set",
                     "unset FORKSERVER_DISABLE");
  }
  Result<PreparedSetup> prepared = PrepareSetup(options, options.argv);
  if (!prepared) return prepared.error();
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return SystemError("open(/dev/null)", errno);

  const BorrowedFds fds(prepared->fds);
  // No limits below those of the setup: the child inherits this process's.
  Result<ChildPlan> child =
      PrepareChildPlan(prepared->setup, fds.get(), null.get(), {});
  if (!child) return child.error();
  ExecPlan plan;
  plan.child = *std::move(child);
  plan.argv = prepared->setup.argv;
  plan.env = prepared->setup.env;
  plan.candidates = FindCandidates(plan.argv.front(), plan.env);
  Result<ExecLaunch> launch = ExecLaunch::Start(std::move(plan));
  if (!launch) return launch.error();

  DirectProcess process;
  process.pid = launch->pid();
  process.launched_ns = MonotonicNanoseconds();
  if (auto runs = AwaitProgram(*launch); !runs) {
    while (::waitpid(process.pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return runs.error();
  }
  process.started_ns = MonotonicNanoseconds();
  process.process = std::move(launch->pidfd());
  // Not reaped yet, so the pid is still this worker.
  if (!process.process) process.process = OpenProcess(process.pid);
  return process;
}

}  // namespace forkserver
