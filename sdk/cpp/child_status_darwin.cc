#include <libproc.h>
#include <mach/mach_time.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>

#include "sdk/cpp/child_status.h"

namespace forkserver {
namespace {

std::int64_t Microseconds(std::uint64_t mach_time) {
  mach_timebase_info_data_t base = {};
  if (::mach_timebase_info(&base) != 0 || base.denom == 0) return 0;
  return static_cast<std::int64_t>(mach_time * base.numer / base.denom / 1000);
}

}  // namespace

std::optional<ChildEnd> PeekEndedChild(pid_t pid, ChildWait wait) {
  siginfo_t info = {};
  const int options =
      WEXITED | WNOWAIT | (wait == ChildWait::kPoll ? WNOHANG : 0);
  int outcome;
  do {
    outcome = ::waitid(pid == kAnyChild ? P_ALL : P_PID, static_cast<id_t>(pid),
                       &info, options);
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
  // Answers for zombies too; without the descendants, unlike wait4(2), which
  // has the usage only once the child is gone.
  rusage_info_v4 usage = {};
  if (::proc_pid_rusage(end.pid, RUSAGE_INFO_V4,
                        reinterpret_cast<rusage_info_t*>(&usage)) == 0) {
    end.max_rss_bytes =
        static_cast<std::int64_t>(usage.ri_lifetime_max_phys_footprint);
    end.user_us = Microseconds(usage.ri_user_time);
    end.system_us = Microseconds(usage.ri_system_time);
  }
  return end;
}

void ReapChild(pid_t pid) {
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace forkserver
