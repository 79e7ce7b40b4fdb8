// Detached workers of an earlier run of the daemon. They are nobody's children
// here: they are watched, and signalled, by descriptors that stand for them,
// and how one ended is known where the kernel tells others than the parent.
//
// Caveat: a group is signalled by its number. Between the look whether its
// leader lives and the signal, that could end, be reaped by its parent, and its
// number be given away, which takes a wrap of the pid space within
// microseconds.
//
// Passive. Announced under `token_of(key)`; one that has ended and that its
// parent has not reaped yet is to be asked about again a little later.
#pragma once

#include <forkserver/result.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/process/poll_set.h"
#include "sdk/protocol/upgrade_messages.h"
#include "server/handed_fds.h"
#include "server/launch/launch_event.h"

namespace forkserver::server {

class AdoptedProcesses {
 public:
  // `poll_set` is borrowed.
  AdoptedProcesses(PollSet& poll_set, std::uint64_t (*token_of)(ProcessKey))
      : poll_set_(poll_set), token_of_(token_of) {}

  // The process that has had `pid` since `start_time` (ReadStartTime).
  // Error "worker_ended" if that one is gone.
  Result<void> Adopt(ProcessKey key, pid_t pid, std::int64_t start_time);

  // For a program that replaces this one, in the same process.
  std::vector<protocol::HandedAdopted> WriteDown(HandedFds& fds) const;
  void Resume(const std::vector<protocol::HandedAdopted>& handed);

  bool Knows(ProcessKey key) const { return processes_.count(key) != 0; }
  bool empty() const { return processes_.empty(); }
  // Some have ended, and how is not known yet; or nothing announces that.
  bool has_ending() const { return ending_ > 0; }
  std::vector<ProcessKey> Ending() const;

  // To the process or its group. False if it has ended.
  bool Signal(ProcessKey key, int signal, bool group);
  // That pid is still the process, which has not ended.
  bool Lives(ProcessKey key) const;

  // Call when its token is ready, and again while it is one of Ending().
  // nullopt: not yet. Then it is forgotten.
  std::optional<EndStatus> TakeEnd(ProcessKey key);

 private:
  struct Process {
    pid_t pid = 0;
    std::int64_t start_time = 0;
    UniqueFd fd;                // invalid on macOS
    std::int64_t ended_ns = 0;  // 0: it lives
    bool watched = true;
  };

  PollSet& poll_set_;
  std::uint64_t (*token_of_)(ProcessKey);
  std::unordered_map<ProcessKey, Process> processes_;
  std::size_t ending_ = 0;
};

}  // namespace forkserver::server
