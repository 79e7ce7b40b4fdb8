// The live children of a zygote, and the reports of their ends.
//
// The object that reaps them: a pid is known here exactly as long as it has
// not been reaped, so it may be signalled. Each end is written to the report
// pipe before the child is reaped; if the zygote dies in between, the daemon
// finds the zombie and reports it a second time.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <string>
#include <unordered_map>
#include <vector>

#include "sdk/cpp/child_status.h"
#include "sdk/cpp/crash_slots.h"

namespace forkserver {

class ZygoteChildren {
 public:
  // `report_fd` is borrowed.
  explicit ZygoteChildren(int report_fd) : report_fd_(report_fd) {}
  // Reports crashes from now on: the daemon takes them. Borrowed.
  void ReportCrashes(CrashSlots& slots) { slots_ = &slots; }
  ZygoteChildren(const ZygoteChildren&) = delete;
  ZygoteChildren& operator=(const ZygoteChildren&) = delete;

  struct Traits {
    bool detach = false;
    // Not 0: what is left of its group is reported, see FindLeftovers.
    pid_t heir = 0;
    // Of the CrashSlots, given back when the child has ended.
    int crash_slot = CrashSlots::kNone;
  };
  // Cheap and of constant cost, however many there are.
  void Add(pid_t pid, std::string worker, Traits traits);
  // One that may be somebody's worker by now, which its zygote has not been
  // told. If it ends before one of the next two is called it stays a zombie
  // until then, so that its pid can mean nothing else.
  void AddSpare(pid_t pid, int crash_slot);
  // A spare is a worker. Of `traits` it keeps its own crash slot. Nothing
  // happens if there is no such spare.
  void BecomeWorker(pid_t pid, std::string worker, Traits traits);
  // A spare is not to become one: kills it, and reports nothing. The same.
  void Dismiss(pid_t pid);
  void DismissAll();
  // The spares that have ended since the last call.
  std::vector<pid_t> TakeEndedSpares();
  bool empty() const { return by_pid_.empty(); }
  // So few that a look at all costs no more than a look at the newest.
  bool are_few() const { return by_pid_.size() <= kNewest; }

  // To the process or its group; nothing if there is no such child (any more).
  void SendSignal(const std::string& worker, int signal, bool group) const;

  // Reports and reaps `pid` if it is one of these and has ended.
  void CollectOne(pid_t pid);
  // The same for those that were added last, which are the likeliest.
  void CollectNewest();
  // The same for all: the kernel goes through them, 1 ms for 10,000. Reaps
  // zombies that are not ours too, silently: a library of the program may have
  // made them.
  void CollectAll();

  // Kills the groups of all that are not detached, reports and reaps them.
  // Blocks until they have ended.
  void KillAndCollect();

 private:
  struct Child {
    std::string worker;  // empty: a spare
    Traits traits;
    bool dismissed = false;
    bool ended = false;  // and waits for what it is
  };
  // False if it is a spare that is not reaped yet.
  bool Finish(const ChildEnd& end);
  void CollectEach();
  void ReportCrash(const Child& child, const ChildEnd& end);

  static constexpr std::size_t kNewest = 16;

  int report_fd_;
  CrashSlots* slots_ = nullptr;
  std::array<pid_t, kNewest> newest_ = {};  // a ring
  std::size_t next_newest_ = 0;
  std::unordered_map<pid_t, Child> by_pid_;
  std::unordered_map<std::string, pid_t> by_worker_;
  std::vector<pid_t> ended_spares_;
};

}  // namespace forkserver
