// The zygotes, as the daemon talks to them: hands requests on, turns what they
// say into launch events, and ends those that do not keep to the protocol.
// Knows nothing of names, owners or policy.
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
#include <set>
#include <string>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/process/poll_set.h"
#include "server/launch/forked_workers.h"
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

  // For a program that replaces this one, in the same process: zygotes, what is
  // left of dead ones, and their workers.
  void WriteDown(HandedFds& fds, protocol::HandedLauncher& handed) const;
  // Error if one cannot be heard.
  Result<void> Resume(protocol::HandedLauncher& handed);
  // The versions of the protocol that zygotes were told.
  std::set<std::int64_t> Protocols() const;

  // The daemon's ends of a new zygote, and what it is to preload. `parent`: 0
  // for one that is exec'd; `slot`: of the keeper, for one that is not.
  void Add(ProcessKey key, std::string id, ProcessKey parent, UniqueFd control,
           UniqueFd report, UniqueFd standard_error,
           protocol::Configure configure, std::atomic<pid_t>* slot = nullptr);
  bool Knows(ProcessKey key) const { return zygotes_.count(key) != 0; }

  // False if so much waits for it that it seems to hang.
  bool CanTakeMore(ProcessKey zygote) const;
  // `frame` is `request` as a whole frame. It goes to a spare if there is one,
  // or to the zygote. Error "limit_reached".
  Result<void> Fork(ProcessKey key, ProcessKey zygote,
                    const protocol::ForkWorker& request, std::string frame,
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
  bool OnTakenOverEnded(ProcessKey key, const EndStatus& status) {
    return forked_.OnTakenOverEnded(key, status);
  }

  // A child of this process that has ended and is a forked worker: its zygote
  // died, which will be told in a moment. Its status must wait for that.
  bool IsForkedWorker(pid_t pid);
  // A forked worker that has said that it started, as far as was read.
  bool IsStarted(pid_t pid) const { return forked_.KnowsPid(pid); }
  void TakeOver(pid_t pid) { forked_.TakeOver(pid); }
  // Kills a worker whose zygote does not react to requests to do so. True if
  // it has ended already and its zygote only says nothing.
  bool KillDirectly(ProcessKey key);
  // Reads every report that has arrived.
  void DrainReports();

 private:
  struct Zygote;

  static ZygoteChannel::Tokens TokensOf(ProcessKey key);
  void OnControlMessage(Zygote& zygote, const protocol::Message& message,
                        std::vector<UniqueFd> fds);
  void OnSpareParked(Zygote& zygote, pid_t pid, std::vector<UniqueFd> fds);
  // To a spare. False: it was not.
  bool HandOver(Zygote& zygote, const protocol::ForkWorker& request,
                const std::string& frame, const std::vector<UniqueFd>& fds);
  // Tells the zygote which of its spares are whose workers by now. Before
  // anything else is sent to it: that may be about these.
  void Settle(Zygote& zygote);
  void Send(Zygote& zygote, std::string frame, std::vector<UniqueFd> fds = {},
            ProcessKey key = 0);
  // From the report pipe of the zygote `reporter`, which may be dead.
  Result<void> OnReport(ProcessKey reporter, const protocol::Message& message);
  void OnFailed(ProcessKey reporter, protocol::Failed failed);
  void OnExited(ProcessKey reporter, const protocol::Exited& exited);
  Result<void> ReadReports(ProcessKey reporter, ZygoteChannel& channel,
                           bool drain = false);
  void ReadRemains(ProcessKey dead, bool drain = false);
  // After every Send and Flush: answers for what could not be sent.
  void CheckSent(Zygote& zygote);
  void KillZygote(Zygote& zygote);
  void Distrust(Zygote& zygote, const Error& error);
  void EndNested(ProcessKey parent);

  PollSet& poll_set_;
  Reaper& reaper_;
  Keeper& keeper_;
  std::vector<LaunchEvent>& events_;
  std::map<ProcessKey, std::unique_ptr<Zygote>> zygotes_;
  // The report pipes of dead zygotes, as long as detached workers of theirs
  // are between their fork and their entry: those hold the other end.
  std::map<ProcessKey, std::unique_ptr<ZygoteChannel>> remains_;
  ForkedWorkers forked_;
};

// The number in a worker id, or 0.
ProcessKey KeyOfId(const std::string& id);

}  // namespace forkserver::server
