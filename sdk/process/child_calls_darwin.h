// macOS: libc's wrappers. The child is a plain fork of a single-threaded
// process, so errno is its own.
#pragma once

#include <fcntl.h>
#include <libproc.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace forkserver::child_calls {

inline constexpr bool kSafeInSharedMemory = false;
// It has no CPU affinity, OOM score and no_new_privs, and its I/O policies are
// of another kind.
inline constexpr bool kHasSchedulingLimits = false;

inline int Outcome(int result) { return result < 0 ? -errno : result; }

inline pid_t GetPid() { return ::getpid(); }
inline pid_t GetParentPid() { return ::getppid(); }
inline int SetProcessGroup() { return Outcome(::setpgid(0, 0)); }
inline int NewSession() { return ::setsid() < 0 ? -errno : 0; }
inline int TakeTerminal(int fd) { return Outcome(::ioctl(fd, TIOCSCTTY, 0)); }
inline int DuplicateAbove(int fd, int minimum) {
  return Outcome(::fcntl(fd, F_DUPFD_CLOEXEC, minimum));
}
inline int DuplicateTo(int from, int to) { return Outcome(::dup2(from, to)); }
inline int KeepOnExec(int fd) { return Outcome(::fcntl(fd, F_SETFD, 0)); }
inline int Close(int fd) { return Outcome(::close(fd)); }
inline int Umask(mode_t mask) {
  ::umask(mask);
  return 0;
}
inline int SetNiceness(int nice) {
  return Outcome(::setpriority(PRIO_PROCESS, 0, nice));
}
inline int SetLimit(int resource, const struct rlimit* value) {
  return Outcome(::setrlimit(resource, value));
}
inline int GetLimit(int resource, struct rlimit* value) {
  return Outcome(::getrlimit(resource, value));
}
// Refused before there is a child: see PrepareChildPlan.
inline int SetCpus(const unsigned long*, std::size_t) { return -ENOTSUP; }
inline int GetCpus(unsigned long*, std::size_t) { return -ENOTSUP; }
inline int SetIoPriority(int, int) { return -ENOTSUP; }
inline int SetOomScoreAdjustment(std::string_view) { return -ENOTSUP; }
inline int SetNoNewPrivileges() { return -ENOTSUP; }
inline int ChangeDirectory(const char* path) { return Outcome(::chdir(path)); }
inline int Execute(const char* program, char* const* argv, char* const* env) {
  return Outcome(::execve(program, argv, env));
}
inline long Write(int fd, const void* data, std::size_t size) {
  const ssize_t written = ::write(fd, data, size);
  return written < 0 ? -errno : written;
}
[[noreturn]] inline void Exit(int status) { ::_exit(status); }
inline int SetSignalHandler(int signal, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  return Outcome(::sigaction(signal, &action, nullptr));
}
inline int DefaultSignal(int signal) {
  return SetSignalHandler(signal, SIG_DFL);
}
inline int IgnoreSignal(int signal) {
  return SetSignalHandler(signal, SIG_IGN);
}
inline int UnblockAllSignals() {
  sigset_t none;
  sigemptyset(&none);
  return Outcome(::sigprocmask(SIG_SETMASK, &none, nullptr));
}

// macOS has no close_range: the open descriptors are listed, in a buffer on
// the stack, until a listing finds none left.
inline int CloseRange(unsigned first, unsigned last, bool) {
  if (first > last) return 0;
  bool closed = true;
  while (closed) {
    closed = false;
    struct proc_fdinfo listed[512];
    const int size = ::proc_pidinfo(::getpid(), PROC_PIDLISTFDS, 0, listed,
                                    static_cast<int>(sizeof(listed)));
    if (size <= 0) break;
    const int count = size / static_cast<int>(sizeof(listed[0]));
    for (int i = 0; i < count; ++i) {
      const auto fd = static_cast<unsigned>(listed[i].proc_fd);
      if (fd < first || fd > last) continue;
      ::close(listed[i].proc_fd);
      closed = true;
    }
  }
  return 0;
}

// A forked child has a table of its own.
inline int UnshareDescriptors(unsigned) { return 0; }
inline void Wake(std::atomic<std::uint32_t>&) {}

}  // namespace forkserver::child_calls
