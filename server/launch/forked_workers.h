// The workers that zygotes forked: what is known of each, and what becomes of
// those whose zygote is dead. Turns the reports of zygotes into launch events.
// Knows nothing of how zygotes are talked to.
//
// Passive; never blocks. A worker of a dead zygote is handed to the Reaper as
// soon as its pid is known. Of a detached one that is not known before it says
// that it started: until then it is an orphan here, and signals for it are
// kept.
#pragma once

#include <forkserver/result.h>
#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <string>
#include <unordered_map>
#include <vector>

#include "sdk/protocol/upgrade_messages.h"
#include "server/launch/keeper.h"
#include "server/launch/launch_event.h"
#include "server/launch/reaper.h"

namespace forkserver::server {

class ForkedWorkers {
 public:
  // All borrowed. Events are appended to `events` as they come to be.
  ForkedWorkers(Reaper& reaper, Keeper& keeper,
                std::vector<LaunchEvent>& events);

  // For a program that replaces this one, in the same process.
  std::vector<protocol::HandedForked> WriteDown() const;
  void Resume(std::vector<protocol::HandedForked> handed);

  // One is about to be asked for. Error "limit_reached".
  Result<void> Add(ProcessKey key, ProcessKey zygote, bool detach);
  bool Knows(ProcessKey key) const { return workers_.count(key) != 0; }
  // It could not be asked for.
  void Fail(ProcessKey key, Error error);

  // What the zygote `reporter` and its children reported.
  void OnStarted(ProcessKey reporter, const ProcessStarted& started);
  void OnFailed(ProcessKey reporter, ProcessKey key, pid_t pid, Error error);
  // A piece of what a worker left that crashed; its end follows.
  void OnCrash(ProcessKey reporter, ProcessKey key, const std::string& part,
               const std::string& data);
  void OnExited(ProcessKey reporter, ProcessKey key, pid_t pid,
                EndStatus status);

  // Takes its workers over. While AwaitsReports: hand its reports over, and
  // call OnReportsEnded when nobody holds its report pipe any more.
  void OnZygoteDied(ProcessKey zygote);
  bool AwaitsReports(ProcessKey dead_zygote) const;
  void OnReportsEnded(ProcessKey dead_zygote);
  // A worker that was taken over ended. False if `key` is not one.
  bool OnTakenOverEnded(ProcessKey key, const EndStatus& status);

  // The zygote that signals it; 0 if there is none of that key or it was taken
  // over.
  ProcessKey ZygoteOf(ProcessKey key) const;
  // For an orphan; it is sent when the worker says that it started. False if
  // it is none.
  bool KeepSignal(ProcessKey key, int signal, bool group);
  // Tells that an orphan never began, and kills it if it does. False if it is
  // none.
  bool GiveUpOrphan(ProcessKey key);
  // 0: unknown.
  pid_t PidOf(ProcessKey key) const;

  // A worker by the pid of a child of this process. Its zygote died, which
  // will be told in a moment; its status must wait for that.
  bool KnowsPid(pid_t pid) const { return pids_.count(pid) != 0; }
  void TakeOver(pid_t pid);
  // Some have not said yet that they started, so that their pids are unknown.
  bool has_unstarted() const { return unstarted_ > 0; }

 private:
  struct KeptSignal {
    int signal = 0;
    bool group = false;
  };
  struct Worker {
    ProcessKey zygote = 0;
    pid_t pid = 0;  // 0: not started
    bool detach = false;
    bool orphan = false;  // its zygote is dead and it has not started
    bool taken_over = false;
    // Its launch has been told to have failed; only its end is outstanding.
    bool settled = false;
    std::atomic<pid_t>* slot = nullptr;
    std::vector<KeptSignal> kept;
    CrashText crash;
  };

  void NotePid(ProcessKey key, Worker& worker, pid_t pid);
  void Adopt(ProcessKey key, Worker& worker);
  void Forget(ProcessKey key);

  Reaper& reaper_;
  Keeper& keeper_;
  std::vector<LaunchEvent>& events_;
  std::unordered_map<ProcessKey, Worker> workers_;
  std::unordered_map<pid_t, ProcessKey> pids_;
  std::size_t unstarted_ = 0;
};

}  // namespace forkserver::server
