// Makes the child of a launch. The two sides are launch_child_linux.cc and
// launch_child_darwin.cc; used by exec_launch.cc only.
#pragma once

#include <forkserver/result.h>
#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

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
// `stack`, while this one goes on. With `share_descriptors` it has this one's
// very table of descriptors, which must not change until it has a copy.
// `child_main` must not return and must not use errno, locks or the heap. The
// error's number is that of clone(2).
Result<LaunchedChild> MakeSharedMemoryChild(int (*child_main)(void*),
                                            void* argument,
                                            const ChildStack& stack,
                                            bool want_pidfd,
                                            bool share_descriptors);

// Waits until `unshared` is set, which wakes it, or `child` has ended.
void AwaitUnshared(const std::atomic<std::uint32_t>& unshared, pid_t child);

// The same by plain fork.
Result<LaunchedChild> MakeForkedChild(int (*child_main)(void*), void* argument,
                                      bool want_pidfd);

}  // namespace forkserver
