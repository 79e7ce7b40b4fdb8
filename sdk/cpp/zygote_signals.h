// The signals of a zygote's loop: learning of ended children without a thread
// and without a descriptor, portably.
//
// SIGCHLD is blocked except while Wait or Poll is in pselect(2), and its
// handler notes the pid that it tells of. Signals coalesce: the pids are
// hints, to be completed by a look at all children. SIGPIPE is ignored.
//
// At most one object at a time in a process, in the thread that runs the loop.
// Where a zygote is allowed other threads, they may have SIGCHLD unblocked.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <cstdint>
#include <vector>

#include "sdk/base/unique_fd.h"

namespace forkserver {

class ZygoteSignals {
 public:
  // Takes over the two signals; the destructor gives them back.
  ZygoteSignals();
  ~ZygoteSignals();
  ZygoteSignals(const ZygoteSignals&) = delete;
  ZygoteSignals& operator=(const ZygoteSignals&) = delete;

  enum class Wake {
    kReadable,     // something to read, or end of file
    kInterrupted,  // by a signal: look at TakeHints
    kIdle,         // neither, within the time
  };
  // Waits for so long, for ever if it is negative. `fd` must be less than
  // FD_SETSIZE, see BelowSelectLimit.
  Wake Wait(int fd, std::int64_t wait_ns);
  // Lets a pending SIGCHLD be handled, without waiting.
  void Poll();

  // Moves the pids noted since the last call to `pids`.
  void TakeHints(std::vector<pid_t>& pids);

  // Around fork(): a signal between fork and the restored dispositions would
  // run the parent's handlers in the child.
  void BlockAll();
  void UnblockAfterFork();

  // In a forked child: SIGCHLD and the mask as they were before. SIGPIPE stays
  // ignored until RestorePipeSignal.
  void RestoreInChild();
  void RestorePipeSignal();

 private:
  sigset_t old_mask_;   // outside of the loop
  sigset_t loop_mask_;  // with SIGCHLD
  sigset_t wait_mask_;  // without it
  struct sigaction old_child_action_ = {};
  struct sigaction old_pipe_action_ = {};
};

// Moves `fd` to a number that pselect(2) can take. False if there is none.
bool BelowSelectLimit(UniqueFd& fd);

}  // namespace forkserver
