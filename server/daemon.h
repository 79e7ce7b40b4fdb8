// The daemon: owns the loop and the layers, and joins them. Serves until it is
// told to stop and everything that it started has ended. What cannot be ended
// (a process that hangs in a file system) is left after a bounded time.
#pragma once

#include <forkserver/result.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "sdk/base/unique_fd.h"
#include "sdk/protocol/upgrade_messages.h"
#include "server/control/dispatcher.h"
#include "server/control/listener.h"
#include "server/control/socket_claim.h"
#include "server/event_loop/loop.h"
#include "server/handed_fds.h"
#include "server/launch/launcher.h"
#include "server/options.h"
#include "server/service_manager.h"
#include "server/services/services.h"
#include "server/supervisor/supervisor.h"

namespace forkserver::server {

class Daemon {
 public:
  // Everything that can fail at start-up. Forks the keeper.
  static Result<std::unique_ptr<Daemon>> Create(const Options& options,
                                                SocketClaim claim,
                                                std::string log_path,
                                                ServiceManager manager);
  // Takes over from the program that called this one, in the same process.
  // `refused` is empty, or why another program went back to this one. Where it
  // cannot, `give_up` is called and does not return: nothing is changed yet.
  static std::unique_ptr<Daemon> TakeOver(
      const Options& options, const protocol::HandedDaemon& handed,
      const std::string& refused,
      const std::function<void(const Error&)>& give_up);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // Blocks until it has stopped in order.
  void Run();

 private:
  // The one that is under way.
  struct Upgrade {
    std::string program;
    std::string file;  // IdentityOf, when it was tried
    bool late = false;
    bool tried = false;
  };

  Daemon(const Options& options, SocketClaim claim,
         std::unique_ptr<Launcher> launcher, std::string instance);
  // What does not depend on how it came to be.
  Result<void> AddServices();
  Result<void> AddControl(std::string log_path, OwnerId last_connection);
  // What every batch of events ends with.
  void Settle();
  void ArmTimer();
  void OnStopSignal();
  void OnHangUp();
  void BeginShutdown();

  // Replaces this program by `program`, or by its own if that is empty: tries
  // it, and if it can take over hands over.
  Result<void> BeginUpgrade(std::string program);
  void OnTried(const ProgramTried& tried);
  Result<void> PrepareHandOver();
  void HandOver();
  void EndUpgrade(const Error& why);
  protocol::HandedDaemon WriteDown(HandedFds& fds) const;
  void FinishIfDone();

  Options options_;
  std::string log_path_;
  std::string program_;   // the path that it was started from
  UniqueFd own_program_;  // what is executed, whatever is there now
  std::int64_t upgrades_ = 0;
  std::optional<Upgrade> upgrade_;
  bool has_terminal_;  // a SIGHUP is its end then
  SocketClaim claim_;
  ServiceManager manager_;
  std::unique_ptr<Launcher> launcher_;
  Supervisor supervisor_;
  std::unique_ptr<Services> services_;
  Loop loop_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::optional<Listener> listener_;
  std::optional<FdWatcher> launch_watcher_;
  std::optional<FdWatcher> services_watcher_;
  std::optional<Timer> deadline_timer_;
  std::optional<std::int64_t> armed_ns_;
  std::optional<Timer> idle_timer_;
  bool idle_ = false;
  std::optional<Timer> shutdown_timer_;
  bool finished_ = false;
  std::optional<Timer> trial_timer_;
  // A round of the loop: see PrepareHandOver.
  UniqueFd round_end_;
  std::optional<FdWatcher> round_;
  std::optional<Timer> hand_over_timer_;
  std::optional<SignalWatcher> sigterm_;
  std::optional<SignalWatcher> sigint_;
  std::optional<SignalWatcher> sighup_;
};

}  // namespace forkserver::server
