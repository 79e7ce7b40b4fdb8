#include "server/pristine.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <utility>
#include <vector>

#include "sdk/base/unix_socket.h"
#include "sdk/process/platform.h"
#include "server/exit_codes.h"

namespace forkserver::server {
namespace {

// What a main thread usually has.
constexpr rlim_t kStackBytes = rlim_t{8} << 20;

void OpenNullOn(int stream) {
  const int fd = ::open("/dev/null", O_RDWR);
  if (fd < 0 || fd == stream) return;
  ::dup2(fd, stream);
  ::close(fd);
}

void MaskStopSignals(int how) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
    sigaddset(&signals, signal);
  }
  ::sigprocmask(how, &signals, nullptr);
}

// Timers survive execve(2). They were meant for whatever this process was
// before, as pending signals were.
void StopTimers() {
  const itimerval none = {};
  for (const auto timer : {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF}) {
    ::setitimer(timer, &none, nullptr);
  }
}

void RaiseLimit(int resource, rlim_t at_most) {
  struct rlimit limit = {};
  if (::getrlimit(resource, &limit) != 0) return;
  const rlim_t wanted = std::min(limit.rlim_max, at_most);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  ::setrlimit(resource, &limit);
}

}  // namespace

void BecomePristine(int keep) {
  CloseDescriptorsFrom(3,
                       keep >= 0 ? std::vector<int>{keep} : std::vector<int>{});
  for (int stream = 0; stream <= 2; ++stream) {
    if (::fcntl(stream, F_GETFD) < 0) OpenNullOn(stream);
  }
  StopTimers();
  ForgetPendingSignals();
  ResetSignals();
  IgnoreSignals();
  ::umask(077);
  // A session's daemon must not keep a file system busy.
  static_cast<void>(::chdir("/") == 0);
}

void IgnoreSignals() {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
}

void RaiseOwnLimits() {
#ifdef __APPLE__
  // macOS refuses "unlimited" and more than OPEN_MAX.
  RaiseLimit(RLIMIT_NOFILE, OPEN_MAX);
#else
  RaiseLimit(RLIMIT_NOFILE, RLIM_INFINITY);
#endif
  for (const int resource : {RLIMIT_AS, RLIMIT_CPU, RLIMIT_DATA, RLIMIT_FSIZE,
                             RLIMIT_MEMLOCK, RLIMIT_NPROC}) {
    RaiseLimit(resource, RLIM_INFINITY);
  }
  RaiseLimit(RLIMIT_STACK, kStackBytes);
  BecomeSubreaper();
}

void HoldStopSignals() { MaskStopSignals(SIG_BLOCK); }

void ReleaseStopSignals() { MaskStopSignals(SIG_UNBLOCK); }

Result<UniqueFd> GoToBackground() {
  Result<Pipe> pipe = MakePipe();
  if (!pipe) return pipe.error();
  const pid_t pid = ::fork();
  if (pid < 0) return SystemError("fork()", errno);
  if (pid > 0) {
    pipe->write_end.Reset();
    char byte;
    ssize_t size;
    do {
      size = ::read(pipe->read_end.get(), &byte, 1);
    } while (size < 0 && errno == EINTR);
    if (size == 1) ::_exit(kExitOk);
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : kExitStartFailed);
  }
  ::setsid();
  return std::move(pipe->write_end);
}

void ReportReady(UniqueFd waiting_parent) {
  for (int stream = 0; stream <= 2; ++stream) OpenNullOn(stream);
  const char byte = 0;
  // The parent may have been killed meanwhile; we serve all the same.
  static_cast<void>(::write(waiting_parent.get(), &byte, 1) == 1);
}

}  // namespace forkserver::server
