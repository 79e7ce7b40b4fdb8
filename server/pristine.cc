#include "server/pristine.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "sdk/base/unix_socket.h"
#include "sdk/process/platform.h"
#include "server/exit_codes.h"

namespace forkserver::server {
namespace {

// The first descriptor of systemd's socket activation, sd_listen_fds(3).
constexpr int kFirstActivationFd = 3;

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

}  // namespace

UniqueFd TakeActivationSocket() {
  const char* const pid = std::getenv("LISTEN_PID");
  const char* const count = std::getenv("LISTEN_FDS");
  UniqueFd socket;
  if (pid != nullptr && count != nullptr && std::to_string(::getpid()) == pid &&
      std::string(count) == "1") {
    struct stat status = {};
    if (::fstat(kFirstActivationFd, &status) == 0 && S_ISSOCK(status.st_mode)) {
      socket = UniqueFd(kFirstActivationFd);
      SetCloseOnExec(socket.get());
    }
  }
  for (const char* const name :
       {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) {
    ::unsetenv(name);
  }
  return socket;
}

void BecomePristine(int keep) {
  CloseDescriptorsFrom(3,
                       keep >= 0 ? std::vector<int>{keep} : std::vector<int>{});
  for (int stream = 0; stream <= 2; ++stream) {
    if (::fcntl(stream, F_GETFD) < 0) OpenNullOn(stream);
  }
  ResetSignals();
  ::signal(SIGPIPE, SIG_IGN);
  ::umask(077);
  // A session's daemon must not keep a file system busy.
  static_cast<void>(::chdir("/") == 0);
}

void RaiseOwnLimits() {
  struct rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
#ifdef __APPLE__
    // macOS refuses "unlimited" and more than OPEN_MAX.
    if (limit.rlim_cur > OPEN_MAX) limit.rlim_cur = OPEN_MAX;
#endif
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
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
