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
#include <map>
#include <string>
#include <vector>

namespace forkserver {

// Children that the heir did not make and that have not ended, by the worker
// that they come from; those of nobody are left out.
struct Orphans {
  std::map<std::string, std::vector<pid_t>> of_worker;
  // One is executing a program at this moment, so that nobody can say whose it
  // is, or has just ended, and may have left another behind: look again.
  bool unclear = false;
  std::vector<pid_t> ended;  // to be reaped
};
// `heir` is the process that inherits orphans, the caller; `is_known` says
// which of its children are no orphans. Where the system has no such heir
// (macOS) all processes of the user are looked through.
Orphans ListOrphans(pid_t heir, const std::function<bool(pid_t)>& is_known);

// All processes that have one of these ids as FORKSERVER_WORKER, whoever is
// their parent: of workers whose daemon is gone. Looks through the whole
// system; `ended` stays empty.
Orphans FindByWorker(const std::function<bool(const std::string&)>& is_wanted);

struct ProcessTree {
  pid_t root = 0;              // the worker's process; 0: it has been reaped
  std::vector<pid_t> orphans;  // that come from it
};

// Its processes, those that have ended and are not reaped yet included. What
// `is_other` is true for (if given) is left out, with what descends from it.
std::vector<pid_t> ListTree(const ProcessTree& tree,
                            const std::function<bool(pid_t)>& is_other = {});

// Signals all of it but the processes of the group `except_group` (0: all).
// `is_still_it` is asked once what is to be signalled is held: false if the
// root may have become another process. Returns how many were there to be
// signalled: what may not be (a program that runs as another user) does not
// count.
int SignalTree(const ProcessTree& tree, int signal, pid_t except_group,
               const std::function<bool()>& is_still_it);

}  // namespace forkserver
