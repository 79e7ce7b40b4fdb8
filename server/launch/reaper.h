// The reaper of this process's own children: tells how each one ended, exactly
// once, and is the only place that may signal them.
//
// Ends are announced by a pidfd (or EVFILT_PROC). Of workers only the newest
// keep theirs: each one makes every later launch dearer, as clone(2) copies the
// table of descriptors and the child closes them. The ends of the others, and
// of orphaned descendants that the system hands to the daemon, its subreaper,
// are learnt from SIGCHLD and a sweep.
#pragma once

#include <forkserver/result.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <unordered_map>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/process/poll_set.h"
#include "sdk/protocol/upgrade_messages.h"
#include "server/launch/launch_event.h"

namespace forkserver::server {

class Reaper {
 public:
  // `poll_set` is borrowed; ends are announced under `TokenOf(key)`.
  Reaper(PollSet& poll_set, std::uint64_t (*token_of)(ProcessKey))
      : poll_set_(poll_set), token_of_(token_of) {}

  struct Traits {
    // When it has ended, what is left of its process group is killed before
    // it is reaped, while the group's number cannot mean anything else.
    bool kill_group = false;
    // One of few: it keeps its pidfd.
    bool keep_pidfd = false;
    // With kill_group: its end status names what was killed.
    bool report_leftovers = false;
  };
  // Takes a child over. Without `pidfd` it opens one.
  void Adopt(ProcessKey key, pid_t pid, UniqueFd pidfd, Traits traits);
  // For a program that replaces this one, in the same process.
  std::vector<protocol::HandedChild> WriteDown() const;
  void Resume(const std::vector<protocol::HandedChild>& handed);
  // Children whose end nothing announces: older ones, or there was no pidfd, or
  // they had ended before they could be watched.
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
    Traits traits;
    bool watched = false;
    // Where it is in `pidfds_`, if it has one.
    std::list<ProcessKey>::iterator pidfd_at;
  };
  void StopWatchingOldest();

  PollSet& poll_set_;
  std::uint64_t (*token_of_)(ProcessKey);
  std::unordered_map<ProcessKey, Child> children_;
  std::unordered_map<pid_t, ProcessKey> keys_;
  std::list<ProcessKey> pidfds_;  // who may lose theirs, oldest first
  std::size_t unwatched_ = 0;
};

}  // namespace forkserver::server
