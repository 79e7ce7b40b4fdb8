#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>

#include "sdk/process/child_calls.h"
#include "sdk/process/launch_child.h"
#include "sdk/process/platform.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FORKSERVER_CLANG_ASAN 1
#endif
#endif

namespace forkserver {

bool SharedMemoryChildSupported() {
#ifdef FORKSERVER_CLANG_ASAN
  // Its locals would be on the fake stack of the parent's thread. With GCC
  // that is switched off where the child is compiled (see BUILD).
  return false;
#else
  return child_calls::kSafeInSharedMemory;
#endif
}

Result<LaunchedChild> MakeSharedMemoryChild(int (*child_main)(void*),
                                            void* argument,
                                            const ChildStack& stack,
                                            bool want_pidfd,
                                            bool share_descriptors) {
  // libc's clone() makes the bare system call (no atfork handlers) and knows
  // how to start a function on another stack. Not clone3: it would save
  // nothing here, and seccomp filters of containers answer it with ENOSYS.
  // CLONE_PIDFD is Linux 5.2; an older kernel leaves the number untouched.
  int pidfd = -1;
  const int flags = CLONE_VM | SIGCHLD | (want_pidfd ? CLONE_PIDFD : 0) |
                    (share_descriptors ? CLONE_FILES : 0);
  char* const top = static_cast<char*>(stack.base) + stack.size;
  const pid_t pid = ::clone(child_main, top, flags, argument, &pidfd);
  if (pid < 0) return SystemError("clone()", errno);
  return LaunchedChild{pid, UniqueFd(pidfd)};
}

void AwaitUnshared(const std::atomic<std::uint32_t>& unshared, pid_t child) {
  // One that was killed before sets nothing.
  const timespec patience = {0, 10'000'000};
  while (unshared.load(std::memory_order_acquire) == 0) {
    ::syscall(SYS_futex, &unshared, FUTEX_WAIT_PRIVATE, 0, &patience, nullptr,
              0);
    if (unshared.load(std::memory_order_acquire) == 0 &&
        ProcessHasEnded(child)) {
      return;
    }
  }
}

Result<LaunchedChild> MakeForkedChild(int (*child_main)(void*), void* argument,
                                      bool want_pidfd) {
  const pid_t pid = ::fork();
  if (pid < 0) return SystemError("fork()", errno);
  if (pid == 0) {
    child_main(argument);
    ::_exit(127);
  }
  // Free of races: nobody but the caller reaps the child.
  return LaunchedChild{pid, want_pidfd ? OpenProcess(pid) : UniqueFd()};
}

}  // namespace forkserver
