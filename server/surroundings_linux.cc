#include <fcntl.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "sdk/base/unique_fd.h"
#include "server/surroundings.h"

namespace forkserver::server {
namespace {

using Kept = std::vector<std::string>;

// The kernel's own, of a process that nobody changed.
constexpr unsigned long kTimerSlackNs = 50'000;
constexpr unsigned long kReadPersonality = 0xffffffff;
// <linux/ioprio.h>, which is younger than the calls.
constexpr int kOneProcess = 1;
constexpr int kNoIoPriority = 0;

void Keep(Kept& kept, const std::string& what, const char* call) {
  kept.push_back(what + " (" + call + ": " + std::strerror(errno) + ")");
}

// A small file of /proc, without its last line break.
std::string ReadText(const char* path) {
  const UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
  char text[4096];
  const ssize_t size = fd ? ::read(fd.get(), text, sizeof(text)) : -1;
  if (size <= 0) return {};
  std::string all(text, static_cast<std::size_t>(size));
  if (all.back() == '\n') all.pop_back();
  return all;
}

// First the niceness: it decides whether SCHED_IDLE may be left.
void ResetScheduling(Kept& kept) {
  const int nice = ::getpriority(PRIO_PROCESS, 0);
  if (nice != 0 && ::setpriority(PRIO_PROCESS, 0, 0) != 0) {
    Keep(kept, "niceness " + std::to_string(nice), "setpriority");
  }
  const int policy = ::sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;
  const sched_param parameters = {};
  if (policy != SCHED_OTHER &&
      ::sched_setscheduler(0, SCHED_OTHER, &parameters) != 0) {
    Keep(kept, "scheduling policy " + std::to_string(policy),
         "sched_setscheduler");
  }
  // All that the cpuset allows. Longer than any kernel's own mask.
  unsigned long cpus[128];
  std::memset(cpus, 0xff, sizeof(cpus));
  if (::syscall(SYS_sched_setaffinity, 0, sizeof(cpus), cpus) != 0) {
    Keep(kept, "its CPUs", "sched_setaffinity");
  }
  if (::syscall(SYS_ioprio_set, kOneProcess, 0, kNoIoPriority) != 0) {
    Keep(kept, "its I/O priority", "ioprio_set");
  }
  ::prctl(PR_SET_TIMERSLACK, kTimerSlackNs, 0, 0, 0);
}

void ResetMemory(Kept& kept) {
  static constexpr char kFile[] = "/proc/self/oom_score_adj";
  const std::string adjustment = ReadText(kFile);
  if (!adjustment.empty() && adjustment != "0") {
    const UniqueFd fd(::open(kFile, O_WRONLY | O_CLOEXEC));
    if (!fd || ::write(fd.get(), "0", 1) != 1) {
      Keep(kept, "oom_score_adj " + adjustment, "write");
    }
  }
  // A kernel without them (ENOSYS, EINVAL) had nothing to hand down.
  ::syscall(SYS_set_mempolicy, MPOL_DEFAULT, nullptr, 0);
  ::prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
  const int personality = ::personality(kReadPersonality);
  if (personality > 0 && ::personality(PER_LINUX) < 0) {
    Keep(kept, "personality " + std::to_string(personality), "personality");
  }
}

// What nothing can undo, so that whoever wonders finds it in the log.
void NameConfinement(Kept& kept) {
  if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) {
    kept.emplace_back("no_new_privs: no worker gains rights by setuid");
  }
  // Filters; strict mode would have killed us by now.
  if (::prctl(PR_GET_SECCOMP, 0, 0, 0, 0) > 0) {
    kept.emplace_back("a seccomp filter, for every worker");
  }
  const int securebits = ::prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
  if (securebits > 0 && ::prctl(PR_SET_SECUREBITS, 0, 0, 0, 0) != 0) {
    Keep(kept, "securebits " + std::to_string(securebits), "prctl");
  }
  // Of the unified hierarchy, which is the last line: "0::/user.slice/...".
  const std::string cgroups = ReadText("/proc/self/cgroup");
  const std::size_t at = cgroups.rfind("0::");
  if (at != cgroups.npos && cgroups.substr(at) != "0::/") {
    kept.push_back("cgroup " + cgroups.substr(at + 3) +
                   ", and its limits, for every worker");
  }
}

}  // namespace

std::vector<std::string> ResetSurroundings() {
  Kept kept;
  ResetScheduling(kept);
  ResetMemory(kept);
  NameConfinement(kept);
  return kept;
}

}  // namespace forkserver::server
