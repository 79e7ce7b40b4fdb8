// The supervisor: what should be running, for whom, how long, and how each
// worker ended. Policy; the launcher is its hands.
//
// Passive: requests come in as calls, what follows comes out of TakeEvents().
// Nothing here blocks. Poll fd() and call Process() when it is readable or
// when NextDeadlineNs() has come.
#pragma once

#include <forkserver/result.h>
#include <forkserver/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/protocol/messages.h"
#include "sdk/protocol/upgrade_messages.h"
#include "server/launch/launcher.h"
#include "server/supervisor/deadlines.h"
#include "server/supervisor/record_ring.h"
#include "server/supervisor/supervisor_event.h"
#include "server/supervisor/worker.h"
#include "server/supervisor/worker_ids.h"
#include "server/supervisor/zygote_registry.h"

namespace forkserver::server {

class Supervisor {
 public:
  struct Options {
    std::string instance;
    std::int64_t zygote_idle_ns = 600'000'000'000;
  };
  // `launcher` is borrowed.
  Supervisor(Launcher& launcher, Options options);

  // What the program that this one replaces has handed over; call once, before
  // anything else, with its instance among the options.
  void Resume(protocol::HandedSupervisor handed);
  // Everything, as it is when TakeEvents has returned. Not while shutting down.
  protocol::HandedSupervisor WriteDown() const;

  int fd() const { return launcher_.fd(); }
  std::optional<std::int64_t> NextDeadlineNs() const;
  void Process();
  std::vector<SupervisorEvent> TakeEvents();
  bool has_events() const { return !events_.empty(); }

  // Who asks: its connection, and the limits of its process where they differ
  // from the daemon's.
  struct Requester {
    OwnerId owner = 0;
    ResourceLimits limits;
    std::int64_t received_ns = 0;
  };
  // WorkerLaunched or WorkerLaunchFailed follows; an error here is all.
  // `held_fd` is as Launcher::WorkerTraits::held_fd.
  Result<ProcessKey> Spawn(const Requester& requester,
                           const protocol::Spawn& request,
                           const std::vector<UniqueFd>& fds, int held_fd = -1);
  Result<ProcessKey> Fork(const Requester& requester, protocol::Fork request,
                          std::vector<UniqueFd> fds);
  // A worker of an earlier run of the daemon, which was detached.
  // WorkerLaunched follows, unless it has ended, and in any case WorkerEnded,
  // once nothing is left of it and what it started. How it ended is known where
  // the system tells, and otherwise `lost`.
  struct Earlier {
    std::string id;                // what it was then
    pid_t pid = 0;                 // 0: it has ended
    std::int64_t start_time = 0;   // ReadStartTime
    std::int64_t launched_ns = 0;  // monotonic
    WorkerKind kind = WorkerKind::kExec;
  };
  ProcessKey Adopt(const Requester& requester, const protocol::Policy& policy,
                   const Earlier& earlier);
  // The id of the worker that is launched next.
  std::string NextId() const { return ids_.IdOf(ids_.last() + 1); }
  // ZygoteChanged "zygote_ready" or ZygoteStartFailed follows, unless the
  // zygote is ready already.
  Result<ProcessKey> StartZygote(const Requester& requester,
                                 protocol::ZygoteStart request,
                                 std::vector<UniqueFd> fds);
  // As StartZygote, but nothing is done: the answer's `difference` says in what
  // the one that is there differs.
  Result<protocol::ZygoteReply> CompareZygote(
      const protocol::ZygoteStart& request);
  Result<void> StopZygote(const std::string& name);
  const Zygote* FindZygote(ProcessKey key) { return zygotes_.Find(key); }
  ZygoteInfo InfoOf(const Zygote& zygote) const {
    return zygotes_.InfoOf(zygote);
  }

  // A worker by id. `record` is set when it has ended. Errors
  // "unknown_worker", "record_expired".
  struct Found {
    ProcessKey key = 0;
    const ExitRecord* record = nullptr;
  };
  Result<Found> Find(const std::string& id) const;
  std::string IdOf(ProcessKey key) const { return ids_.IdOf(key); }
  Result<void> Signal(const std::string& id, std::int64_t signal, bool group);
  // Found.record is set when there is nothing left to stop.
  Result<Found> Stop(const std::string& id,
                     std::optional<std::int64_t> grace_ms);

  // The connection ended: stops its workers, forgets its zygotes.
  void OwnerGone(OwnerId owner);

  // No new work; stops everything but the runs of services, which whoever has
  // them stops. done() when it is all over. A call with `now` kills what is
  // left.
  void BeginShutdown(bool now = false);
  bool shutting_down() const { return shutting_down_; }
  // The longest time that a stop of what lives now may take by itself.
  std::chrono::milliseconds LongestGrace() const;
  bool done() const { return workers_.empty() && zygotes_.all().empty(); }

  Snapshot TakeSnapshot() const;
  void FillStatus(DaemonStatus& status) const;

 private:
  void Handle(ProcessStarted event);
  void Handle(LaunchFailed event);
  void Handle(ProcessNeverBegan event);
  void Handle(ProcessEnded event);
  void Handle(ZygoteIsReady event);
  void Handle(ZygoteAudited event);
  void Handle(StacksTaken event);
  void Handle(ProgramTried event) { events_.emplace_back(std::move(event)); }
  void Handle(ZygoteEnded event);
  void Handle(const Deadline& deadline);
  void HandleOfZygote(const Deadline& deadline);

  Result<void> CheckPolicy(const protocol::Policy& policy) const;
  Launcher::WorkerTraits TraitsOf(const Requester& requester,
                                  const protocol::Policy& policy) const;
  Worker& AddWorker(ProcessKey key, const Requester& requester,
                    const protocol::Policy& policy);
  void EraseWorker(ProcessKey key);
  void AddDeadline(const Deadline& deadline);
  void BeginStop(Worker& worker, EndReason reason, std::int64_t grace_ms);
  void Kill(Worker& worker);
  // Nothing of it is left.
  void Finish(Worker& worker, const ProcessEnded& end);
  // Looks at the trees of those that were told to stop or have ended.
  void LookAtTrees();
  void LookAtTreesSoon(std::int64_t delay_ns);
  void RetireZygote(ProcessKey key);
  void NoteEndOfUse(Zygote& zygote);
  // What the end of a canary means; nullopt: it answered.
  void OnCanary(Zygote& zygote, std::optional<std::string> failure);
  void Refuse(Zygote& zygote, Error error);
  void NoteUnbegun(Zygote& zygote, const Worker& worker);
  Zygote* ZygoteOfCanary(ProcessKey canary);

  Launcher& launcher_;
  Options options_;
  WorkerIds ids_;
  std::unordered_map<ProcessKey, Worker> workers_;
  std::unordered_map<OwnerId, std::unordered_set<ProcessKey>> owned_;
  ZygoteRegistry zygotes_;
  RecordRing records_;
  Deadlines deadlines_;
  // Whose trees are to be told to stop, and whose are to be gone.
  std::vector<ProcessKey> trees_to_stop_;
  std::vector<ProcessKey> trees_to_end_;
  bool look_at_trees_now_ = false;
  bool look_at_trees_soon_ = false;  // there is a deadline for it
  std::vector<SupervisorEvent> events_;
  std::int64_t launched_ = 0;
  bool shutting_down_ = false;
};

}  // namespace forkserver::server
