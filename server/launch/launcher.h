// The launch layer as the supervisor sees it: processes are started, reaped
// and signalled here, and everything that happens to them comes out as
// LaunchEvents. Mechanism only.
//
// Never blocks: launches are under way while it returns. Everything it waits
// for is behind one descriptor: poll fd() for reading and call Process(); call
// it also when NextDeadlineNs() has come.
#pragma once

#include <forkserver/result.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/process/audit/audit.h"
#include "sdk/process/exec_launch.h"
#include "sdk/process/poll_set.h"
#include "sdk/process/process_tree.h"
#include "sdk/protocol/upgrade_messages.h"
#include "server/handed_fds.h"
#include "server/launch/adopted_processes.h"
#include "server/launch/cgroups.h"
#include "server/launch/examiner.h"
#include "server/launch/keeper.h"
#include "server/launch/launch_event.h"
#include "server/launch/reaper.h"
#include "server/launch/stderr_relay.h"
#include "server/launch/token.h"
#include "server/launch/zygote_launcher.h"

namespace forkserver::server {

class Launcher {
 public:
  // Forks the keeper: call while the process has one thread. `instance` is
  // what the ids of its workers begin with.
  static Result<std::unique_ptr<Launcher>> Create(std::string instance);
  // Of the program that this one replaces, in the same process. Makes what can
  // fail and takes nothing of `handed` but the keeper; Resume, to be called
  // next, takes the rest, and is to be followed by going back if it fails.
  static Result<std::unique_ptr<Launcher>> Prepare(
      std::string instance, const protocol::HandedLauncher& handed);
  Result<void> Resume(protocol::HandedLauncher& handed);
  // False: what it has cannot go over to another program.
  bool can_be_replaced() const { return keeper_.lasts(); }
  // Everything, as it is when Process has returned and its events were taken.
  protocol::HandedLauncher WriteDown(HandedFds& fds) const;
  std::set<std::int64_t> ZygoteProtocols() const {
    return zygotes_.Protocols();
  }
  ~Launcher();
  Launcher(const Launcher&) = delete;
  Launcher& operator=(const Launcher&) = delete;

  int fd() const { return poll_set_.fd(); }
  // Monotonic nanoseconds, or nullopt.
  std::optional<std::int64_t> NextDeadlineNs() const { return sweep_due_ns_; }
  // The events since the last call, in order. Other calls may leave some as
  // well: a request that fails at once, or reports that had to be read.
  std::vector<LaunchEvent> Process();
  bool has_events() const { return !events_.empty(); }

  struct WorkerTraits {
    bool detach = false;
    // The end of its standard error and, with libforkserver_crash in its
    // LD_PRELOAD, where it crashed come with ProcessEnded.
    bool crash_report = false;
    // So do the processes that it leaves behind in its group.
    bool report_leftovers = false;
    // Of an exec worker: stays open there until its program runs. Borrowed,
    // close-on-exec; -1: none.
    int held_fd = -1;
    // It gets a cgroup of its own, with these limits. The caller looks after
    // it by cgroups().
    std::optional<CgroupLimits> cgroup;
  };
  // Every launch begins with the proof that this process has one thread:
  // error "daemon_unsafe", naming the others.
  //
  // An exec worker: ProcessStarted or LaunchFailed follows, then ProcessEnded.
  Result<void> LaunchExec(ProcessKey key, protocol::Setup setup,
                          const std::vector<UniqueFd>& fds,
                          const ResourceLimits& limits, WorkerTraits traits);

  // A zygote: ZygoteIsReady follows or ZygoteEnded. Its set-up names its
  // program; `fds` belong to the set-up.
  Result<void> LaunchZygote(ProcessKey key, std::string id,
                            protocol::Setup setup,
                            const std::vector<UniqueFd>& fds,
                            const ResourceLimits& limits,
                            protocol::Configure configure);
  // The same, forked from the zygote `parent`.
  Result<void> LaunchNestedZygote(ProcessKey key, std::string id,
                                  ProcessKey parent, std::string setup,
                                  std::vector<UniqueFd> fds,
                                  const ResourceLimits& limits,
                                  protocol::Configure configure);
  // A worker of a zygote: as LaunchExec.
  Result<void> LaunchForked(ProcessKey key, std::string id, ProcessKey zygote,
                            std::string setup, std::vector<UniqueFd> fds,
                            const ResourceLimits& limits, WorkerTraits traits);
  // A worker of `zygote` that runs no entry and exits with 0: as LaunchExec.
  Result<void> LaunchCanary(ProcessKey key, std::string id, ProcessKey zygote);

  // A detached worker of an earlier run: the process that has had `pid` since
  // `start_time`. ProcessEnded follows. Error "worker_ended" if it is gone.
  Result<void> Adopt(ProcessKey key, pid_t pid, std::int64_t start_time) {
    return adopted_.Adopt(key, pid, start_time);
  }

  // Is this zygote safe to fork? `words` is what it and whoever asked for it
  // say of it. ZygoteAudited follows; where nobody can look, with the verdict
  // unknown.
  void Audit(ProcessKey zygote, pid_t pid, audit::OwnWords words);
  // Where `worker` is, which was asked of the zygote with that pid and has not
  // begun, and where the zygote is. StacksTaken follows.
  void TakeStacks(ProcessKey worker, pid_t zygote_pid);

  // Executes, in a child, a program that might replace this one: see Examiner.
  // ProgramTried follows.
  Result<void> TryProgram(const Examiner::Work& work, int keep_fd);
  void EndTrial() { examiner_.EndTrial(); }

  void Retire(ProcessKey zygote) { zygotes_.Retire(zygote); }

  // To a worker or zygote that has not been reaped, or to its group. False
  // when there is none.
  bool Signal(ProcessKey key, const std::string& id, int signal, bool group);

  // What workers left behind in other places than their process groups, and
  // all that belongs to the workers `adopted`, by the ids that they were
  // executed with. Takes as long as this process has children, or with those
  // the system processes: one call for many workers.
  Orphans ListOrphans(const std::set<std::string>& adopted);
  // To what descends from a worker, but not to its process group, which Signal
  // reaches; with KILL to that as well. `pid` is 0 once it has ended. Returns
  // how many processes were there.
  int SignalTree(ProcessKey key, pid_t pid, const std::vector<pid_t>& orphans,
                 int signal);

  // Of a forked worker that was killed by way of its zygote and has not been
  // heard of: kills it without the zygote. True if it has ended and only its
  // zygote does not say so, that is if the zygote hangs.
  bool KillDirectly(ProcessKey key) { return zygotes_.KillDirectly(key); }

  Cgroups& cgroups() { return cgroups_; }
  const Cgroups& cgroups() const { return cgroups_; }

  // Gives the memory of launches that hang in a filesystem up; for a process
  // that is about to exit.
  void AbandonLaunches();

 private:
  struct Running {
    std::optional<ExecLaunch> launch;  // until its status pipe answered
    std::int64_t launched_ns = 0;
    bool zygote = false;
    bool failed = false;
    std::atomic<pid_t>* slot = nullptr;  // the keeper's
    UniqueFd crash_file;                 // what its crash handler writes to
  };

  Launcher(PollSet poll_set, Cgroups cgroups, Keeper keeper, UniqueFd null_fd);
  static constexpr std::uint64_t EndToken(ProcessKey key) {
    return MakeToken(key, TokenKind::kProcessEnd);
  }
  Result<void> CheckOneThread() const;
  Result<void> CheckKeeper();
  void SweepBefore(std::int64_t delay_ns);
  // After a child was adopted.
  void SweepUnwatched();
  Result<void> CheckZygoteFrame(const std::string& frame,
                                ProcessKey zygote) const;
  Result<void> LaunchProcess(ProcessKey key, protocol::Setup setup,
                             const std::vector<UniqueFd>& fds,
                             const ResourceLimits& limits, WorkerTraits traits,
                             bool zygote);
  // Its standard error goes through a relay from now on.
  Result<void> InsertRelay(ProcessKey key, protocol::Setup& setup,
                           std::vector<UniqueFd>& fds);
  void OnRelay(ProcessKey key, const PollSet::Event& event);
  std::string FinishRelay(ProcessKey key);
  // Adds what the relays know to the ends of their workers.
  void FinishRelays();
  void OnExamined(const Examiner::Outcome& outcome, const EndStatus& status);
  void OnStatus(ProcessKey key);
  void OnEnd(ProcessKey key);
  void OnChildSignal();
  void ListenToChildSignal();
  void Sweep();

  PollSet poll_set_;
  Cgroups cgroups_;  // outlives the keeper, which is in one
  Keeper keeper_;
  UniqueFd null_fd_;
  UniqueFd child_signal_;
  Reaper reaper_;
  AdoptedProcesses adopted_;
  std::vector<LaunchEvent> events_;
  ZygoteLauncher zygotes_;
  Examiner examiner_;
  std::map<ProcessKey, Running> running_;
  std::map<ProcessKey, std::unique_ptr<StderrRelay>> relays_;
  std::optional<std::int64_t> sweep_due_ns_;
  bool keeper_missing_ = false;
  bool resumed_ = false;  // and not swept since
};

}  // namespace forkserver::server
