// Linux: raw system calls. libc's wrappers would write the parent's errno,
// because a CLONE_VM child shares its thread-local memory. x86-64 and AArch64
// are spelled out; elsewhere libc's syscall() is used, and LaunchChild forks.
#pragma once

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace forkserver::child_calls {

// CPU affinity, I/O priority, oom_score_adj, no_new_privs.
inline constexpr bool kHasSchedulingLimits = true;

#if defined(__x86_64__)

inline constexpr bool kSafeInSharedMemory = true;

[[gnu::always_inline]] inline long Call(long number, long a = 0, long b = 0,
                                        long c = 0, long d = 0, long e = 0) {
  long result;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
               : "rcx", "r11", "memory");
  return result;
}

#elif defined(__aarch64__)

inline constexpr bool kSafeInSharedMemory = true;

[[gnu::always_inline]] inline long Call(long number, long a = 0, long b = 0,
                                        long c = 0, long d = 0, long e = 0) {
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = d;
  register long x4 asm("x4") = e;
  asm volatile("svc #0"
               : "+r"(x0)
               : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
               : "memory");
  return x0;
}

#else

inline constexpr bool kSafeInSharedMemory = false;

inline long Call(long number, long a = 0, long b = 0, long c = 0, long d = 0,
                 long e = 0) {
  const long result = ::syscall(number, a, b, c, d, e);
  return result < 0 ? -errno : result;
}

#endif

inline long Address(const void* pointer) {
  return static_cast<long>(reinterpret_cast<std::intptr_t>(pointer));
}

inline pid_t GetPid() { return static_cast<pid_t>(Call(SYS_getpid)); }
inline pid_t GetParentPid() { return static_cast<pid_t>(Call(SYS_getppid)); }
inline int SetProcessGroup() {
  return static_cast<int>(Call(SYS_setpgid, 0, 0));
}
inline int NewSession() {
  const long result = Call(SYS_setsid);
  return result < 0 ? static_cast<int>(result) : 0;
}
// `fd` becomes the controlling terminal of the session that this one leads.
inline int TakeTerminal(int fd) {
  return static_cast<int>(Call(SYS_ioctl, fd, TIOCSCTTY, 0));
}
// A close-on-exec copy at `minimum` or above.
inline int DuplicateAbove(int fd, int minimum) {
  return static_cast<int>(Call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, minimum));
}
// `to` becomes a copy that survives exec. `from` and `to` differ.
inline int DuplicateTo(int from, int to) {
  return static_cast<int>(Call(SYS_dup3, from, to, 0));
}
inline int KeepOnExec(int fd) {
  return static_cast<int>(Call(SYS_fcntl, fd, F_SETFD, 0));
}
inline int Close(int fd) { return static_cast<int>(Call(SYS_close, fd)); }
inline int Umask(mode_t mask) {
  return static_cast<int>(Call(SYS_umask, static_cast<long>(mask)));
}
inline int SetNiceness(int nice) {
  return static_cast<int>(Call(SYS_setpriority, PRIO_PROCESS, 0, nice));
}
inline int SetLimit(int resource, const struct rlimit* value) {
  return static_cast<int>(Call(SYS_prlimit64, 0, resource, Address(value), 0));
}
inline int GetLimit(int resource, struct rlimit* value) {
  return static_cast<int>(Call(SYS_prlimit64, 0, resource, 0, Address(value)));
}
// `bits`: one for each CPU, the least significant first.
inline int SetCpus(const unsigned long* bits, std::size_t bytes) {
  return static_cast<int>(
      Call(SYS_sched_setaffinity, 0, static_cast<long>(bytes), Address(bits)));
}
inline int GetCpus(unsigned long* bits, std::size_t bytes) {
  return static_cast<int>(
      Call(SYS_sched_getaffinity, 0, static_cast<long>(bytes), Address(bits)));
}
inline int SetIoPriority(int io_class, int level) {
  constexpr int kWhoProcess = 1;  // of ioprio_set(2): no header of libc has it
  constexpr int kClassShift = 13;
  return static_cast<int>(
      Call(SYS_ioprio_set, kWhoProcess, 0, (io_class << kClassShift) | level));
}
// Of the memory of this process: it is that of whoever shares it, too.
inline int SetOomScoreAdjustment(std::string_view text) {
  const int file = static_cast<int>(Call(SYS_openat, AT_FDCWD,
                                         Address("/proc/self/oom_score_adj"),
                                         O_WRONLY | O_CLOEXEC, 0));
  if (file < 0) return file;
  const long written = Call(SYS_write, file, Address(text.data()),
                            static_cast<long>(text.size()));
  Call(SYS_close, file);
  return written < 0 ? static_cast<int>(written) : 0;
}
inline int SetNoNewPrivileges() {
  return static_cast<int>(Call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1));
}
inline int ChangeDirectory(const char* path) {
  return static_cast<int>(Call(SYS_chdir, Address(path)));
}
inline int Execute(const char* program, char* const* argv, char* const* env) {
  return static_cast<int>(
      Call(SYS_execve, Address(program), Address(argv), Address(env)));
}
inline long Write(int fd, const void* data, std::size_t size) {
  return Call(SYS_write, fd, Address(data), static_cast<long>(size));
}
// Not declared noreturn: a sanitizer would then look for the bounds of a stack
// that it does not know.
[[gnu::always_inline]] inline void Exit(int status) {
  for (;;) Call(SYS_exit_group, status);
}

// The kernel's own struct, not libc's.
struct KernelSigaction {
  std::uintptr_t handler;
  unsigned long flags;
  std::uintptr_t restorer;
  std::uint64_t mask;
};
inline int SetSignalHandler(int signal, std::uintptr_t handler) {
  KernelSigaction action = {};
  action.handler = handler;
  return static_cast<int>(Call(SYS_rt_sigaction, signal, Address(&action), 0,
                               sizeof(std::uint64_t)));
}
inline int DefaultSignal(int signal) { return SetSignalHandler(signal, 0); }
inline int IgnoreSignal(int signal) { return SetSignalHandler(signal, 1); }
inline int UnblockAllSignals() {
  const std::uint64_t none = 0;
  return static_cast<int>(
      Call(SYS_rt_sigprocmask, SIG_SETMASK, Address(&none), 0, sizeof(none)));
}

// Every descriptor of /proc/self/fd between `first` and `last`.
inline int CloseRangeByListing(unsigned first, unsigned last) {
  struct Entry {
    std::uint64_t inode;
    std::int64_t offset;
    unsigned short size;
    unsigned char type;
    char name[1];
  };
  const int folder =
      static_cast<int>(Call(SYS_openat, AT_FDCWD, Address("/proc/self/fd"),
                            O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0));
  if (folder < 0) {
    // No /proc: every number up to the limit. Slow, but always right.
    struct rlimit limit = {};
    Call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, Address(&limit));
    for (unsigned fd = first; fd <= last && fd < limit.rlim_cur; ++fd) {
      Close(static_cast<int>(fd));
    }
    return 0;
  }
  // Closing while listing may skip entries: repeat until nothing was closed.
  bool closed = true;
  while (closed) {
    closed = false;
    Call(SYS_lseek, folder, 0, SEEK_SET);
    alignas(Entry) char buffer[1024];
    for (;;) {
      const long size = Call(SYS_getdents64, folder, Address(buffer),
                             static_cast<long>(sizeof(buffer)));
      if (size <= 0) break;
      for (long at = 0; at < size;) {
        const auto* entry = reinterpret_cast<const Entry*>(buffer + at);
        at += entry->size;
        const char* digit = entry->name;
        if (*digit < '0' || *digit > '9') continue;
        unsigned fd = 0;
        for (; *digit >= '0' && *digit <= '9'; ++digit) {
          fd = fd * 10 + static_cast<unsigned>(*digit - '0');
        }
        if (fd < first || fd > last || fd == static_cast<unsigned>(folder)) {
          continue;
        }
        Close(static_cast<int>(fd));
        closed = true;
      }
    }
  }
  return Close(folder);
}

// Closes first..last. close_range(2) is Linux 5.9; seccomp filters of
// containers may answer ENOSYS or EPERM for calls that they do not know.
inline int CloseRange(unsigned first, unsigned last, bool use_close_range) {
  if (first > last) return 0;
  if (use_close_range) {
    const long result = Call(SYS_close_range, first, last, 0);
    if (result != -ENOSYS && result != -EPERM) return static_cast<int>(result);
  }
  return CloseRangeByListing(first, last);
}

// A copy of a table that is shared with the parent, of the numbers below
// `from` only: the others cost nothing. A kernel without that (5.9) copies all.
inline int UnshareDescriptors(unsigned from) {
  const long result = Call(SYS_close_range, from, ~0u, CLOSE_RANGE_UNSHARE);
  if (result == 0) return 0;
  return static_cast<int>(Call(SYS_unshare, CLONE_FILES));
}
// Sets `flag` for a futex(2) of this memory that waits for it.
inline void Wake(std::atomic<std::uint32_t>& flag) {
  flag.store(1, std::memory_order_release);
  Call(SYS_futex, Address(&flag), FUTEX_WAKE_PRIVATE, 1);
}

}  // namespace forkserver::child_calls
