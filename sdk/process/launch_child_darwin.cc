#include <unistd.h>

#include <cerrno>

#include "sdk/process/launch_child.h"

namespace forkserver {

bool SharedMemoryChildSupported() { return false; }

Result<LaunchedChild> MakeSharedMemoryChild(int (*)(void*), void*,
                                            const ChildStack&, bool, bool) {
  return SystemError("clone()", ENOSYS);
}

void AwaitUnshared(const std::atomic<std::uint32_t>&, pid_t) {}

Result<LaunchedChild> MakeForkedChild(int (*child_main)(void*), void* argument,
                                      bool) {
  // Safe from a parent that never touched libdispatch, libobjc or
  // CoreFoundation and has one thread, which is what forkserverd is for.
  const pid_t pid = ::fork();
  if (pid < 0) return SystemError("fork()", errno);
  if (pid == 0) {
    child_main(argument);
    ::_exit(127);
  }
  return LaunchedChild{pid, UniqueFd()};
}

}  // namespace forkserver
