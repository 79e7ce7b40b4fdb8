// The daemon: owns the loop and the layers, and joins them. Serves until it is
// told to stop and everything that it started has ended. What cannot be ended
// (a process that hangs in a file system) is left after a bounded time.
#pragma once

#include <forkserver/result.h>

#include <memory>
#include <optional>
#include <string>

#include "server/control/dispatcher.h"
#include "server/control/listener.h"
#include "server/control/socket_claim.h"
#include "server/event_loop/loop.h"
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
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // Blocks until it has stopped in order.
  void Run();

 private:
  Daemon(const Options& options, SocketClaim claim,
         std::unique_ptr<Launcher> launcher, std::string instance);
  // Makes the services, which need the supervisor.
  Result<void> AddServices();
  // What every batch of events ends with.
  void Settle();
  void ArmTimer();
  void OnStopSignal();
  void BeginShutdown();
  // Replaces this program by `program`, or by its own if that is empty.
  Result<void> BeginUpgrade(const std::string& program);
  void FinishIfDone();

  Options options_;
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
  std::optional<SignalWatcher> sigterm_;
  std::optional<SignalWatcher> sigint_;
  std::optional<SignalWatcher> sighup_;
};

}  // namespace forkserver::server
