// The reaper of this process's own children: tells how each one ended, exactly
// once, and is the only place that may signal them.
//
// Ends are learnt from a pidfd (or EVFILT_PROC) per child; where there is none,
// from a sweep. Orphaned descendants that the system hands to the daemon, its
// subreaper, are reaped by the sweep too.
#pragma once

#include <forkserver/result.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/process/poll_set.h"
#include "server/launch/launch_event.h"

namespace forkserver::server {

class Reaper {
 public:
  // `poll_set` is borrowed; ends are announced under `TokenOf(key)`.
  Reaper(PollSet& poll_set, std::uint64_t (*token_of)(ProcessKey))
      : poll_set_(poll_set), token_of_(token_of) {}

  // Takes a child over. `kill_group`: when it has ended, what is left of its
  // process group is killed before it is reaped, while the group's number
  // cannot mean anything else.
  void Adopt(ProcessKey key, pid_t pid, UniqueFd pidfd, bool kill_group);
  // Children whose end nothing announces (no pidfd, or they had ended before
  // they could be watched): Reap them now and then.
  std::vector<ProcessKey> Unwatched() const;
  bool has_unwatched() const { return unwatched_ > 0; }

  bool Knows(ProcessKey key) const { return children_.count(key) != 0; }
  pid_t PidOf(ProcessKey key) const;

  // To the child, or to its process group. False if it is not a child (any
  // more): its number is never signalled after it was reaped.
  bool Signal(ProcessKey key, int signal, bool group);

  // Call when the token of `key` is ready. nullopt if it has not ended.
  std::optional<EndStatus> Reap(ProcessKey key);

  // Reaps orphans that have ended, up to the first child that is not one:
  // that is known here, or that `is_worker` claims. Returns its pid, to be
  // dealt with before the next call, or 0 when nothing is left. Costs a walk
  // over all children; call it rarely.
  pid_t SweepOrphans(const std::function<bool(pid_t)>& is_worker);
  // The key of a child, or 0.
  ProcessKey KeyOf(pid_t pid) const;

 private:
  struct Child {
    pid_t pid = 0;
    UniqueFd pidfd;
    bool kill_group = false;
    bool watched = false;
  };
  PollSet& poll_set_;
  std::uint64_t (*token_of_)(ProcessKey);
  std::unordered_map<ProcessKey, Child> children_;
  std::unordered_map<pid_t, ProcessKey> keys_;
  std::size_t unwatched_ = 0;
};

}  // namespace forkserver::server
