#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "sdk/cpp/child_status.h"

namespace forkserver {
namespace {

std::int64_t Microseconds(const timeval& time) {
  return std::int64_t{time.tv_sec} * 1'000'000 + time.tv_usec;
}

}  // namespace

std::optional<ChildEnd> PeekEndedChild(pid_t pid, ChildWait wait) {
  siginfo_t info = {};
  struct rusage usage = {};
  const int options =
      WEXITED | WNOWAIT | (wait == ChildWait::kPoll ? WNOHANG : 0);
  long outcome;
  do {
    // waitid(2), "C library/kernel differences": only the raw call has the
    // fifth argument, and it is filled in with WNOWAIT too.
    outcome = ::syscall(SYS_waitid, pid == kAnyChild ? P_ALL : P_PID, pid,
                        &info, options, &usage);
  } while (outcome < 0 && errno == EINTR);
  if (outcome < 0 || info.si_pid == 0) return std::nullopt;
  ChildEnd end;
  end.pid = info.si_pid;
  if (info.si_code == CLD_EXITED) {
    end.code = info.si_status;
  } else {
    end.signal = info.si_status;
    end.core = info.si_code == CLD_DUMPED;
  }
  end.max_rss_bytes = std::int64_t{usage.ru_maxrss} * 1024;
  end.user_us = Microseconds(usage.ru_utime);
  end.system_us = Microseconds(usage.ru_stime);
  return end;
}

void ReapChild(pid_t pid) {
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace forkserver
