// The blocking loop of a zygote: takes requests from the control socket, forks
// children, reports their ends. One thread, no event library, and a handful
// of system calls per request however many children live.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/cpp/crash_slots.h"
#include "sdk/cpp/forked_child.h"
#include "sdk/cpp/frozen_environment.h"
#include "sdk/cpp/self_audit.h"
#include "sdk/cpp/spares.h"
#include "sdk/cpp/zygote_children.h"
#include "sdk/cpp/zygote_registry.h"
#include "sdk/cpp/zygote_signals.h"
#include "sdk/protocol/framing.h"
#include "sdk/protocol/messages.h"

namespace forkserver {

// A zygote's ways to the daemon, and the environment that it was given.
struct ZygoteChannels {
  UniqueFd control;  // stream socket
  UniqueFd report;   // write end of a pipe
  std::vector<std::string> environment;
};

// One zygote's life. Used once.
class ZygoteServer {
 public:
  // `registry` is borrowed.
  ZygoteServer(const ZygoteRegistry& registry, ZygoteChannels channels);
  ZygoteServer(const ZygoteServer&) = delete;
  ZygoteServer& operator=(const ZygoteServer&) = delete;

  struct Outcome {
    // Set in a child that was forked to be a zygote itself: destroy this
    // server, which leaves the parent's things alone, and run another one.
    std::optional<ZygoteChannels> forked_zygote;
    int exit_code = 0;
  };
  // Blocks until the zygote is retired and its last child has ended, or until
  // the daemon is gone; then what is not detached is killed. A forked worker
  // never returns from it.
  Outcome Run() noexcept;

 private:
  enum class Next { kGoOn, kRetired, kDaemonGone, kBroken, kBecomeZygote };

  // One turn of the loop: one frame, one read, one wait or one look at all
  // children.
  Next Turn();
  void CollectHinted();
  void CollectAll();
  // Until CollectAll is due, or a spare; -1: neither.
  std::int64_t WaitNs() const;
  bool IsCollectAllDue() const;
  Next ReadControl();
  Next HandleFrame(std::string_view payload);
  // Takes what came with a frame; `complete` is false if some were lost.
  std::vector<UniqueFd> TakeFds(std::uint64_t count, bool& complete);
  void ForkWorker(ForkRequest request, bool complete);
  // If one is due. The daemon is given the way to it.
  void ForkSpare();
  // The life of a spare: its hot path once without effect, then the request
  // that comes. All signals are blocked until then.
  [[noreturn]] void LiveAsSpare(int channel);
  // The daemon says what has become of one.
  void SettleSpare(const protocol::SpareSettled& settled);
  // The daemon is to use it no more, and to say whether it did.
  void WithdrawSpare(pid_t pid);
  void WithdrawEndedSpares();
  Next ForkZygote(ForkRequest request, bool complete);
  // Why no child can be forked now.
  Result<void> CheckFork(bool complete) const;
  // fork(2) and what belongs around it. 0 in the child, where all signals are
  // blocked; -1 when it failed, with errno.
  pid_t Fork();
  // The same for a request: a failure has been reported.
  pid_t ForkChild(const std::string& worker);
  // In the child: takes up the new zygote's channels.
  void BecomeZygote(ForkRequest request);
  void ReportFailed(const std::string& worker, const Error& error) const;
  ForkParent AsParent();

  const ZygoteRegistry& registry_;
  ZygoteChannels channels_;
  const pid_t pid_;
  UniqueFd null_;
  protocol::FrameReader reader_;
  CrashSlots crash_slots_;
  ZygoteChildren children_;
  Spares spares_;
  std::optional<FrozenEnvironment> frozen_;  // since it is configured
  std::optional<ZygoteSignals> signals_;     // since it is ready
  std::unique_ptr<SelfAudit> self_;          // the same
  std::vector<int> kept_fds_;                // that workers keep; ascending
  AuditPolicy audit_policy_ = AuditPolicy::kRefuse;
  std::optional<ZygoteChannels> forked_zygote_;
  std::vector<pid_t> hinted_;
  bool retired_ = false;
  // The kernel dropped descriptors: of a frame in the reader, or of the one
  // that has only begun to arrive.
  bool fds_lost_ = false;
  bool next_fds_lost_ = false;
  // Somebody may have ended of whom no hint told. True at first: preload steps
  // may have left children.
  bool collect_all_ = true;
  std::int64_t collect_all_not_before_ns_ = 0;
  int requests_since_collect_all_ = 0;
};

}  // namespace forkserver
