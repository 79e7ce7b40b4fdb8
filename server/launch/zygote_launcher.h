// The zygotes and the workers that were forked from them: hands requests on,
// turns reports into launch events, and takes the workers of a dead zygote
// over. Knows nothing of names, owners or policy.
//
// Passive; never blocks. The processes of zygotes that were exec'd are
// launched and reaped by the Launcher; nested zygotes are reaped by their
// parent, or by the Reaper when that is dead.
#pragma once

#include <forkserver/result.h>

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/process/poll_set.h"
#include "server/launch/keeper.h"
#include "server/launch/launch_event.h"
#include "server/launch/reaper.h"
#include "server/launch/token.h"
#include "server/launch/zygote_channel.h"

namespace forkserver::server {

class ZygoteLauncher {
 public:
  // All borrowed. Events are appended to `events` as they come to be.
  ZygoteLauncher(PollSet& poll_set, Reaper& reaper, Keeper& keeper,
                 std::vector<LaunchEvent>& events);
  ~ZygoteLauncher();

  // The daemon's ends of a new zygote, and what it is to preload. `parent`: 0
  // for one that is exec'd.
  void Add(ProcessKey key, std::string id, ProcessKey parent, UniqueFd control,
           UniqueFd report, UniqueFd standard_error,
           protocol::Configure configure);
  bool Knows(ProcessKey key) const { return zygotes_.count(key) != 0; }

  // False if so much waits for it that it seems to hang.
  bool CanTakeMore(ProcessKey zygote) const;
  // `frame` is a whole ForkWorker frame.
  void Fork(ProcessKey key, ProcessKey zygote, bool detach, std::string frame,
            std::vector<UniqueFd> fds);
  // `frame` is a whole ForkZygote frame; Add was called for the new one.
  void ForkZygote(ProcessKey key, ProcessKey parent, std::string frame,
                  std::vector<UniqueFd> fds);
  void Retire(ProcessKey zygote);
  // Of a forked worker or a nested zygote, by way of the zygote that forked
  // it. False if it is neither, or was taken over by the reaper.
  bool Signal(ProcessKey key, const std::string& id, int signal, bool group);

  void OnReadable(ProcessKey key, TokenKind kind);
  void OnWritable(ProcessKey zygote);
  // The zygote's process ended (`status`), or was never launched (`error`).
  void OnEnded(ProcessKey key, std::optional<EndStatus> status,
               std::optional<Error> error);
  // A worker that was taken over ended. False if `key` is not one.
  bool OnTakenOverEnded(ProcessKey key, const EndStatus& status);

  // A child of this process that is a forked worker: its zygote died, which
  // will be told in a moment. Its status must wait for that.
  bool IsForkedWorker(pid_t pid) const { return pids_.count(pid) != 0; }
  void TakeOver(pid_t pid);
  // Kills a worker whose zygote does not react to requests to do so. True if
  // it has ended already and its zygote only says nothing.
  bool KillDirectly(ProcessKey key);
  // Reads every report that has arrived.
  void DrainReports();

 private:
  struct Zygote;
  struct ForkedWorker {
    ProcessKey zygote = 0;
    pid_t pid = 0;  // 0: not started
    bool detach = false;
    bool taken_over = false;
    bool failed = false;  // its set-up failed; only its end is outstanding
    std::atomic<pid_t>* slot = nullptr;
  };

  void OnControlMessage(Zygote& zygote, const protocol::Message& message);
  void OnReport(Zygote& zygote, const protocol::Message& message);
  void OnStarted(const Zygote& reporter, const protocol::Started& started);
  void OnWorkerFailed(const Zygote& reporter, protocol::Failed failed);
  void OnExited(const Zygote& reporter, const protocol::Exited& exited);
  // After every Send and Flush: answers for what could not be sent.
  void CheckSent(Zygote& zygote);
  void KillZygote(Zygote& zygote);
  void Distrust(Zygote& zygote, const Error& error);
  void TakeOverWorker(ProcessKey key, ForkedWorker& worker);
  void Forget(ProcessKey key);
  void NotePid(ProcessKey key, ForkedWorker& worker, pid_t pid);

  PollSet& poll_set_;
  Reaper& reaper_;
  Keeper& keeper_;
  std::vector<LaunchEvent>& events_;
  std::map<ProcessKey, std::unique_ptr<Zygote>> zygotes_;
  std::unordered_map<ProcessKey, ForkedWorker> workers_;
  std::unordered_map<pid_t, ProcessKey> pids_;
};

// The number in a worker id, or 0.
ProcessKey KeyOfId(const std::string& id);

}  // namespace forkserver::server
