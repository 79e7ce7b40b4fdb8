// The keeper: a tiny process that outlives the daemon by a moment. It holds
// the reading end of a pipe from the daemon; when the daemon is gone, however
// it went, the pipe closes and the keeper kills the groups of the workers and
// zygotes that were not detached, and then what they have left elsewhere: what
// has their ids as FORKSERVER_WORKER (sdk/process/process_tree.h).
//
// The daemon tells it the groups through shared memory: two stores, no system
// call and no wake-up per launch.
//
// Caveat: between the end of the daemon and the kill, init may reap a worker
// that ended by itself, and its number could be given to another group of the
// same user. That takes a wrap of the whole pid space within microseconds.
#pragma once

#include <forkserver/result.h>
#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/protocol/upgrade_messages.h"
#include "server/handed_fds.h"
#include "server/launch/launch_event.h"

namespace forkserver::server {

class Keeper {
 public:
  // As many groups as can be live at once.
  static constexpr std::size_t kSlots = std::size_t{1} << 17;

  // Forks the keeper, of the daemon whose workers have ids that begin with
  // `instance`. Call while the process has one thread. Unless
  // `cgroup_control` is empty the keeper also calls Cgroups::TakeLimits with
  // it.
  static Result<Keeper> Start(std::string instance,
                              std::string cgroup_control = {});
  // The keeper of the program that this one replaces, in the same process.
  // `taken`: the numbers of the slots that somebody has.
  static Result<Keeper> Resume(const protocol::HandedKeeper& handed,
                               std::string instance,
                               const std::set<std::int64_t>& taken);
  protocol::HandedKeeper WriteDown(HandedFds& fds) const;
  // The table lasts when another program is executed.
  bool lasts() const { return file_.valid(); }
  // -1: no slot.
  std::int64_t NumberOf(const std::atomic<pid_t>* slot) const {
    return slot == nullptr ? -1 : slot - table_;
  }
  std::atomic<pid_t>* SlotOf(std::int64_t number) const {
    return number < 0 ? nullptr : table_ + number;
  }

  Keeper(Keeper&& other) noexcept;
  Keeper& operator=(Keeper&&) = delete;
  // Ends the keeper; what is still in a slot is killed by it.
  ~Keeper();

  pid_t pid() const { return pid_; }
  // Its process is gone (the caller has reaped it): fork another one, which
  // sees the same slots.
  Result<void> Restart();

  // A worker or zygote to be killed with the daemon: the holder stores the id
  // of its group. Error "limit_reached" when all slots are taken.
  Result<std::atomic<pid_t>*> TakeSlot(ProcessKey key);
  void GiveSlot(std::atomic<pid_t>* slot);

 private:
  explicit Keeper(std::string instance) : instance_(std::move(instance)) {}
  Result<void> MapTable();
  Result<void> ForkKeeper();

  std::string instance_;
  UniqueFd file_;  // what is mapped; invalid: memory without a file
  std::atomic<pid_t>* table_ = nullptr;
  std::atomic<ProcessKey>* keys_ = nullptr;  // of the same numbers
  std::size_t used_ = 0;                     // slots handed out at least once
  std::vector<std::atomic<pid_t>*> free_;
  UniqueFd pipe_;
  std::string cgroup_control_;
  pid_t pid_ = 0;
};

}  // namespace forkserver::server
