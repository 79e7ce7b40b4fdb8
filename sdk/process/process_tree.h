// The processes of a worker: its own, what descends from it, and orphans that
// have its id as FORKSERVER_WORKER in the environment that they were executed
// with. Passive; reads the system's list of processes, which takes a few
// system calls for each process of the tree and each orphan.
//
// Caveat: an orphan that was executed without that variable is out of reach, as
// is one that was not executed since it was forked from a zygote's worker.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

namespace forkserver {

struct ProcessTree {
  std::string worker;  // its id
  pid_t root = 0;      // its process; 0: it has been reaped
  // The process that inherits orphans. Where the system knows none, all
  // processes of the user are looked through.
  pid_t heir = 0;
  // Children of the heir that belong to nobody else.
  std::function<bool(pid_t)> is_known;
};

// Those that have not ended; the root is the first of them if it is one.
std::vector<pid_t> ListTree(const ProcessTree& tree);

// Signals them, but none whose process group is `except_group` (0: all).
// Returns how many were there to be signalled: what may not be signalled (a
// program that runs as another user) does not count.
int SignalTree(const ProcessTree& tree, int signal, pid_t except_group);

}  // namespace forkserver
