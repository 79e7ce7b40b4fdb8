// Where a process is: for one that should have done something and has not.
// The two sides are read_stacks_linux.cc and read_stacks_darwin.cc.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace forkserver::audit {

// One line for each thread ("thread 1234 'name' waits for a lock or a condition
// (futex)"), followed by its frames, the innermost first, each as
// "  /usr/lib/libgomp.so.1+0x1234". The process is not stopped. The frames are
// the return addresses that lie on the stack: some may be left from calls that
// are over. At most 8 threads, 24 frames each. Empty when nothing can be read.
// Blocks for some milliseconds.
std::vector<std::string> ReadStacks(pid_t pid);

// The children of a process, oldest first.
std::vector<pid_t> ListChildren(pid_t pid);

}  // namespace forkserver::audit
