// A watcher shares the memory of the guarded program (CLONE_VM), which costs
// microseconds whatever its size. So it makes bare system calls only: libc's
// would write to the thread-local memory of a thread that runs meanwhile.
#include <linux/futex.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cerrno>
#include <ctime>

#include "sdk/guard/watcher.h"
#include "sdk/process/child_calls.h"

namespace forkserver::guard {
namespace {

namespace calls = child_calls;

constexpr int kStreams = 3;
constexpr int kReportFailed = 127;
constexpr long kPatienceMs = 5'000;
constexpr long kMsPerSecond = 1'000, kNsPerMs = 1'000'000;

struct Job {
  Watch* watch;
  const WatcherSettings* settings;
  bool quiet;
};

long Futex(void* word, int operation, std::uint32_t value,
           const timespec* timeout = nullptr) {
  return calls::Call(SYS_futex, calls::Address(word), operation, value,
                     calls::Address(timeout));
}

timespec ToTimespec(long ms) {
  return {ms / kMsPerSecond, ms % kMsPerSecond * kNsPerMs};
}

// Leaves nothing open but the way of the report, which it returns.
int KeepReportOnly(const WatcherSettings& settings) {
  int report = STDERR_FILENO;
  if (settings.report[0] != '\0') {
    const long opened =
        calls::Call(SYS_openat, AT_FDCWD, calls::Address(settings.report),
                    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
    if (opened >= 0) {
      // Not one of the streams, which are closed below.
      report = calls::DuplicateAbove(static_cast<int>(opened), kStreams);
      // Whoever locks the file waits until all watchers have ended (doctor).
      calls::Call(SYS_flock, report, LOCK_SH);
    }
  }
  calls::Close(STDIN_FILENO);
  calls::Close(STDOUT_FILENO);
  if (report == STDERR_FILENO) {
    calls::CloseRange(kStreams, ~0u, true);
    return report;
  }
  calls::Close(STDERR_FILENO);
  calls::CloseRange(kStreams, static_cast<unsigned>(report) - 1, true);
  calls::CloseRange(static_cast<unsigned>(report) + 1, ~0u, true);
  return report;
}

// In a frame of its own: its parent waits in the same stack (CLONE_VFORK).
[[gnu::noinline]] void ExecuteReport(const Job& job, int record, int report) {
  const char* arguments[5] = {job.settings->program, kReportCommand};
  int count = 2;
  if (job.settings->report[0] != '\0') arguments[count++] = kJsonOption;
  if (job.quiet) arguments[count++] = kQuietOption;
  const char* const environment[] = {nullptr};
  calls::DuplicateTo(report, kStreams);
  if (record != STDIN_FILENO) calls::DuplicateTo(record, STDIN_FILENO);
  calls::DuplicateTo(kStreams, STDOUT_FILENO);
  calls::DuplicateTo(kStreams, STDERR_FILENO);
  calls::CloseRange(kStreams, ~0u, true);
  calls::UnblockAllSignals();
  calls::Execute(job.settings->program, const_cast<char* const*>(arguments),
                 const_cast<char* const*>(environment));
  calls::Exit(kReportFailed);
}

// Has the report made, and returns its exit code.
int MakeReport(const Job& job, int report) {
  // A report on stream 3 would be where ExecuteReport() puts it.
  report = calls::DuplicateAbove(report, kStreams + 2);
  static const char name[] = "fork";
  long record =
      calls::Call(SYS_memfd_create, calls::Address(name), MFD_CLOEXEC);
  if (record >= 0) record = calls::DuplicateAbove(static_cast<int>(record), 9);
  if (record < 0 || report < 0) return kReportFailed;
  ForkRecord& content = job.watch->record;
  content.memory_of = calls::GetPid();
  calls::Write(static_cast<int>(record), &content, sizeof(content));
  calls::Call(SYS_lseek, record, 0, SEEK_SET);
  const long maker =
      calls::Call(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0, 0);
  if (maker == 0) ExecuteReport(job, static_cast<int>(record), report);
  int status = kReportFailed << 8;
  if (maker > 0) {
    while (calls::Call(SYS_wait4, maker, calls::Address(&status), 0, 0) ==
           -EINTR) {
    }
  }
  calls::Close(static_cast<int>(record));
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : kReportFailed;
  if (code == kReportFailed && !job.quiet) {
    static const char text[] =
        "forkguard: a fork may be unsafe; the program that would tell why "
        "(forkserver) cannot be executed\n";
    calls::Write(report, text, sizeof(text) - 1);
  }
  calls::Close(report);
  return code;
}

// Until the child executes something, or the window has passed.
void AwaitChild(Watch& watch, long window_ms) {
  const timespec window = ToTimespec(window_ms);
  while (watch.state.load() == kForked) {
    if (Futex(&watch.state, FUTEX_WAIT, kForked, &window) == -ETIMEDOUT) break;
  }
}

int Watching(void* job_pointer) {
  const Job job = *static_cast<const Job*>(job_pointer);
  Watch& watch = *job.watch;
  const int report = KeepReportOnly(*job.settings);
  watch.watching.store(1);
  Futex(&watch.watching, FUTEX_WAKE, 1);
  AwaitChild(watch, job.settings->window_ms);
  std::uint64_t state = watch.known->state.load();
  if (watch.state.load() != kExecuted && state != kReported &&
      state != kBeingAudited && state != watch.looks &&
      watch.known->state.compare_exchange_strong(state, kBeingAudited)) {
    const int code = MakeReport(job, report);
    watch.known->state.store(code == 0 ? watch.looks : kReported);
  }
  calls::Exit(0);
  return 0;
}

int StartWatching(void* job_pointer) {
  Watch& watch = *static_cast<const Job*>(job_pointer)->watch;
  // The kernel clears the number when it has ended.
  if (::clone(&Watching, watch.stacks[1] + Watch::kStackBytes,
              CLONE_VM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
              job_pointer, &watch.watcher, nullptr, &watch.watcher) < 0) {
    watch.watcher.store(0);
  }
  while (watch.watcher.load() != 0 && watch.watching.load() == 0) {
    Futex(&watch.watching, FUTEX_WAIT, 0);
  }
  calls::Exit(0);
  return 0;
}

int ReportingNow(void* job_pointer) {
  const Job& job = *static_cast<const Job*>(job_pointer);
  calls::Exit(MakeReport(job, KeepReportOnly(*job.settings)));
  return 0;
}

// No handler of the program may run in a process that has its memory.
class BlockedSignals {
 public:
  BlockedSignals() {
    const std::uint64_t all = ~std::uint64_t{0};
    calls::Call(SYS_rt_sigprocmask, SIG_SETMASK, calls::Address(&all),
                calls::Address(&before_), sizeof(all));
  }
  ~BlockedSignals() {
    calls::Call(SYS_rt_sigprocmask, SIG_SETMASK, calls::Address(&before_), 0,
                sizeof(before_));
  }

 private:
  std::uint64_t before_ = 0;
};

// A child that ends without SIGCHLD, so that no wait() of the program takes it
// (__WCLONE in wait(2)). Returns its exit code, -1: it could not be made.
int RunBriefChild(int (*main)(void*), Job& job) {
  const BlockedSignals blocked;
  const int saved = errno;
  const pid_t pid = ::clone(main, job.watch->stacks[0] + Watch::kStackBytes,
                            CLONE_VM | CLONE_VFORK, &job);
  errno = saved;
  if (pid < 0) return -1;
  int status = 0;
  while (calls::Call(SYS_wait4, pid, calls::Address(&status), __WCLONE, 0) ==
         -EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : kReportFailed;
}

// Orphans would become children of this process.
bool AdoptsOrphans() {
  int adopts = 0;
  ::prctl(PR_GET_CHILD_SUBREAPER, &adopts);
  return adopts != 0 || ::getpid() == 1;
}

}  // namespace

void StartWatcher(Watch& watch, const WatcherSettings& settings) {
  Job job = {&watch, &settings, false};
  watch.watching.store(0);
  if (!AdoptsOrphans()) {
    RunBriefChild(&StartWatching, job);
    return;
  }
  // Then it is a child that never executes anything: wait() does not see it,
  // and IsOver() reaps it.
  const BlockedSignals blocked;
  const int saved = errno;
  watch.own_child =
      ::clone(&Watching, watch.stacks[1] + Watch::kStackBytes,
              CLONE_VM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID, &job,
              &watch.watcher, nullptr, &watch.watcher);
  if (watch.own_child < 0) watch.watcher.store(0);
  while (watch.watcher.load() != 0 && watch.watching.load() == 0) {
    Futex(&watch.watching, FUTEX_WAIT, 0);
  }
  errno = saved;
}

void TellWatcher(Watch& watch, ChildState state) {
  watch.state.store(state);
  Futex(&watch.state, FUTEX_WAKE, 1);
}

bool IsOver(Watch& watch) {
  if (watch.watcher.load() != 0) return false;
  if (watch.own_child > 0) {
    calls::Call(SYS_wait4, watch.own_child, 0, __WCLONE, 0);
    watch.own_child = 0;
  }
  return true;
}

void AwaitWatcher(Watch& watch, const WatcherSettings& settings) {
  const timespec patience = ToTimespec(settings.window_ms + kPatienceMs);
  for (;;) {
    const int watcher = watch.watcher.load();
    if (IsOver(watch)) return;
    if (Futex(&watch.watcher, FUTEX_WAIT, static_cast<std::uint32_t>(watcher),
              &patience) == -ETIMEDOUT) {
      return;
    }
  }
}

int ReportNow(Watch& watch, const WatcherSettings& settings, bool quiet) {
  Job job = {&watch, &settings, quiet};
  const int code = RunBriefChild(&ReportingNow, job);
  return code < 0 ? kReportFailed : code;
}

}  // namespace forkserver::guard
