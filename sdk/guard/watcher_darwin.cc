// By reading only. No process can share memory here, so the watcher is a
// forked grandchild: the child of a process with threads, which makes system
// calls and executes a program, nothing else. fork() out of this library is
// not interposed.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "sdk/guard/watcher.h"

extern char** environ;

namespace forkserver::guard {
namespace {

constexpr int kReportFailed = 127;
constexpr int kStreams = 3;
constexpr long kStepMs = 2, kNsPerMs = 1'000'000;

int KeepReportOnly(const WatcherSettings& settings) {
  int report = STDERR_FILENO;
  if (settings.report[0] != '\0') {
    const int opened = ::open(settings.report,
                              O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (opened >= 0) {
      report = ::fcntl(opened, F_DUPFD_CLOEXEC, kStreams);
      ::flock(report, LOCK_SH);
    }
  }
  for (int fd = ::getdtablesize() - 1; fd >= 0; --fd) {
    if (fd != report) ::close(fd);
  }
  return report;
}

int MakeReport(const Watch& watch, const WatcherSettings& settings, bool quiet,
               int report) {
  int record[2];
  report = ::fcntl(report, F_DUPFD_CLOEXEC, 9);
  if (report < 0 || ::pipe(record) != 0) return kReportFailed;
  const pid_t maker = ::fork();
  if (maker == 0) {
    const char* arguments[5] = {settings.program, kReportCommand};
    int count = 2;
    if (settings.report[0] != '\0') arguments[count++] = kJsonOption;
    if (quiet) arguments[count++] = kQuietOption;
    char* const none[] = {nullptr};
    ::dup2(record[0], STDIN_FILENO);
    ::dup2(report, STDOUT_FILENO);
    ::dup2(report, STDERR_FILENO);
    if (record[0] > 2) ::close(record[0]);
    if (record[1] > 2) ::close(record[1]);
    ::execve(settings.program, const_cast<char* const*>(arguments), none);
    ::_exit(kReportFailed);
  }
  ::close(record[0]);
  const char* const bytes = reinterpret_cast<const char*>(&watch.record);
  for (std::size_t done = 0; done < sizeof(watch.record);) {
    const ssize_t written =
        ::write(record[1], bytes + done, sizeof(watch.record) - done);
    if (written <= 0) break;
    done += static_cast<std::size_t>(written);
  }
  ::close(record[1]);
  int status = kReportFailed << 8;
  while (maker > 0 && ::waitpid(maker, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : kReportFailed;
}

void WatchChild(Watch& watch, const WatcherSettings& settings) {
  const int report = KeepReportOnly(settings);
  const timespec step = {0, kStepMs * kNsPerMs};
  for (long waited = 0;
       waited < settings.window_ms && watch.state.load() == kForked;
       waited += kStepMs) {
    ::nanosleep(&step, nullptr);
  }
  std::uint64_t state = watch.known->state.load();
  if (watch.state.load() != kExecuted && state != kReported &&
      state != kBeingAudited && state != watch.looks &&
      watch.known->state.compare_exchange_strong(state, kBeingAudited)) {
    const int code = MakeReport(watch, settings, false, report);
    watch.known->state.store(code == 0 ? watch.looks : kReported);
  }
  watch.watcher.store(0);
  ::_exit(0);
}

// The exit code of a child that is waited for at once; SIGCHLD stays pending
// until then and is taken away. -1: none could be made.
template <typename Main>
int RunBriefChild(Main main) {
  sigset_t all, before;
  sigfillset(&all);  // a macro
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const int saved = errno;
  const pid_t pid = ::fork();
  if (pid == 0) main();
  int status = 0;
  while (pid > 0 && ::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  errno = saved;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : kReportFailed;
}

}  // namespace

void StartWatcher(Watch& watch, const WatcherSettings& settings) {
  watch.watcher.store(1);
  RunBriefChild([&] {
    const pid_t watcher = ::fork();
    if (watcher == 0) WatchChild(watch, settings);
    if (watcher < 0) watch.watcher.store(0);
    ::_exit(0);
  });
}

void TellWatcher(Watch& watch, ChildState state) { watch.state.store(state); }

bool IsOver(Watch& watch) { return watch.watcher.load() == 0; }

void AwaitWatcher(Watch& watch, const WatcherSettings& settings) {
  const timespec step = {0, kStepMs * kNsPerMs};
  for (long waited = 0; waited < settings.window_ms + 5'000 && !IsOver(watch);
       waited += kStepMs) {
    ::nanosleep(&step, nullptr);
  }
}

int ReportNow(Watch& watch, const WatcherSettings& settings, bool quiet) {
  const int code = RunBriefChild([&] {
    ::_exit(MakeReport(watch, settings, quiet, KeepReportOnly(settings)));
  });
  return code < 0 ? kReportFailed : code;
}

}  // namespace forkserver::guard
