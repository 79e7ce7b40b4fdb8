// Makes the child of a launch. The two sides are launch_child_linux.cc and
// launch_child_darwin.cc; used by exec_launch.cc only.
#pragma once

#include <forkserver/result.h>
#include <sys/types.h>

#include <cstddef>

#include "sdk/base/unique_fd.h"

namespace forkserver {

struct LaunchedChild {
  pid_t pid = 0;
  UniqueFd pidfd;  // invalid where the system has none
};

// A stack for a child that shares memory: `size` bytes from `base` up.
struct ChildStack {
  void* base = nullptr;
  std::size_t size = 0;
};

// True if MakeSharedMemoryChild can work at all on this machine.
bool SharedMemoryChildSupported();

// Runs `child_main(argument)` in a process that shares this one's memory, on
// `stack`, while this one goes on. `child_main` must not return and must not
// use errno, locks or the heap. The error's number is that of clone(2).
Result<LaunchedChild> MakeSharedMemoryChild(int (*child_main)(void*),
                                            void* argument,
                                            const ChildStack& stack,
                                            bool want_pidfd);

// The same by plain fork.
Result<LaunchedChild> MakeForkedChild(int (*child_main)(void*), void* argument,
                                      bool want_pidfd);

}  // namespace forkserver
