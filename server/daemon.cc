#include "server/daemon.h"

#include <fcntl.h>
#include <forkserver/version.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <ctime>
#include <utility>
#include <vector>

#include "sdk/process/platform.h"
#include "server/logging.h"
#include "server/upgrade/execute_fd.h"

namespace forkserver::server {
namespace {

// After a stop, what is not over by then is killed and, this long again later,
// left: a process that hangs in a file system cannot be ended by anybody.
constexpr std::chrono::seconds kShutdownPatience{20};

std::int64_t UnixMilliseconds() {
  timespec now = {};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

}  // namespace

Result<std::unique_ptr<Daemon>> Daemon::Create(const Options& options,
                                               SocketClaim claim,
                                               std::string log_path,
                                               ServiceManager manager) {
  const std::string instance =
      WorkerIds::MakeInstance(UnixMilliseconds(), claim.ReadInstance());
  claim.NoteInstance(instance);
  Result<std::unique_ptr<Launcher>> launcher = Launcher::Create(instance);
  if (!launcher) return launcher.error();
  std::unique_ptr<Daemon> daemon(
      new Daemon(options, std::move(claim), std::move(*launcher), instance));
  daemon->manager_ = std::move(manager);
  if (auto added = daemon->AddServices(); !added) return added.error();
  for (const std::string& what : daemon->services_->Restore()) {
    Log(LogLevel::kInfo, what);
  }
  if (auto added = daemon->AddControl(std::move(log_path), 0); !added) {
    return added.error();
  }
  daemon->Settle();
  return daemon;
}

Daemon::Daemon(const Options& options, SocketClaim claim,
               std::unique_ptr<Launcher> launcher, std::string instance)
    : options_(options),
      program_(options.program),
      has_terminal_(UniqueFd(::open("/dev/tty", O_RDWR | O_CLOEXEC)).valid()),
      claim_(std::move(claim)),
      launcher_(std::move(launcher)),
      supervisor_(*launcher_,
                  {std::move(instance), options.zygote_idle_ms > 0
                                            ? options.zygote_idle_ms * 1'000'000
                                            : std::int64_t{1} << 60}) {
  launch_watcher_.emplace(loop_, supervisor_.fd(), [this](bool, bool) {
    supervisor_.Process();
    Settle();
  });
  deadline_timer_.emplace(loop_, [this] {
    armed_ns_.reset();
    supervisor_.Process();
    services_->Process();
    Settle();
  });
  idle_timer_.emplace(loop_, [this] {
    Log(LogLevel::kInfo, "idle for long enough: ending");
    BeginShutdown();
    Settle();
  });
  sigterm_.emplace(loop_, SIGTERM, [this] { OnStopSignal(); });
  sigint_.emplace(loop_, SIGINT, [this] { OnStopSignal(); });
  sighup_.emplace(loop_, SIGHUP, [this] { OnHangUp(); });
}

Result<void> Daemon::AddServices() {
  auto services = Services::Create(supervisor_, {claim_.path() + ".state"});
  if (!services) return services.error();
  services_ = std::move(*services);
  services_watcher_.emplace(loop_, services_->fd(), [this](bool, bool) {
    services_->Process();
    Settle();
  });
  return {};
}

Result<void> Daemon::AddControl(std::string log_path, OwnerId last_connection) {
  log_path_ = std::move(log_path);
  Dispatcher::Options dispatching;
  dispatching.version = kVersion;
  dispatching.socket_path = claim_.path();
  dispatching.log_path = log_path_;
  dispatching.upgrades = upgrades_;
  dispatching.on_shutdown = [this] { BeginShutdown(); };
  dispatching.on_upgrade = [this](const std::string& program) {
    return BeginUpgrade(program);
  };
  dispatching.after_batch = [this] { Settle(); };
  auto dispatcher = Dispatcher::Create(loop_, supervisor_, *services_,
                                       std::move(dispatching));
  if (!dispatcher) return dispatcher.error();
  dispatcher_ = std::move(*dispatcher);
  listener_.emplace(
      loop_, claim_.listening_fd(), options_.allow_confined,
      [this](std::unique_ptr<Connection> connection) {
        dispatcher_->AddConnection(std::move(connection));
        Settle();
      },
      last_connection);
  if (!launch_watcher_->valid() || !services_watcher_->valid() ||
      !dispatcher_->valid() || !listener_->valid()) {
    return MakeError(error_code::kLimitReached,
                     "the system does not let forkserverd watch descriptors",
                     "raise fs.epoll.max_user_watches, or end some programs");
  }
  // Last: without it there is no way back from an upgrade, but all else works.
  own_program_ = OpenOwnProgram();
  return {};
}

Daemon::~Daemon() { launcher_->AbandonLaunches(); }

void Daemon::Run() {
  Log(LogLevel::kInfo, std::string("forkserverd ") + kVersion + " serves " +
                           claim_.path() + ", pid " +
                           std::to_string(::getpid()));
  manager_.TellReady();
  loop_.Run();
  Log(LogLevel::kInfo, "forkserverd has stopped");
}

void Daemon::Settle() {
  for (;;) {
    if (launcher_->has_events()) supervisor_.Process();
    const std::vector<SupervisorEvent> events = supervisor_.TakeEvents();
    for (const SupervisorEvent& event : events) {
      if (const auto* const tried = std::get_if<ProgramTried>(&event)) {
        OnTried(*tried);
      }
    }
    services_->Observe(events);
    dispatcher_->Deliver(events);
    dispatcher_->Deliver(services_->TakeEvents());
    dispatcher_->FlushAll();
    // A connection that broke while it was written to ends its workers.
    if (!launcher_->has_events() && !supervisor_.has_events() &&
        !services_->has_events()) {
      break;
    }
  }
  ArmTimer();
  const bool idle = options_.idle_exit_ms > 0 && supervisor_.done() &&
                    services_->empty() && dispatcher_->connections() == 0;
  if (idle != idle_) {
    idle_ = idle;
    if (idle) {
      idle_timer_->Start(std::chrono::milliseconds(options_.idle_exit_ms));
    } else {
      idle_timer_->Stop();
    }
  }
  FinishIfDone();
}

void Daemon::ArmTimer() {
  std::optional<std::int64_t> next_ns = supervisor_.NextDeadlineNs();
  if (const auto theirs = services_->NextDeadlineNs();
      theirs && (!next_ns || *theirs < *next_ns)) {
    next_ns = theirs;
  }
  // An earlier wake-up that is armed already costs less than moving it.
  if (!next_ns || (armed_ns_ && *armed_ns_ <= *next_ns)) return;
  armed_ns_ = next_ns;
  const std::int64_t wait_ns = *next_ns - MonotonicNanoseconds();
  deadline_timer_->Start(std::chrono::milliseconds(
      std::max<std::int64_t>(wait_ns, 0) / 1'000'000 + 1));
}

void Daemon::OnStopSignal() {
  if (supervisor_.shutting_down()) {
    Log(LogLevel::kWarning, "told to stop again: killing what is left");
    supervisor_.BeginShutdown(/*now=*/true);
  } else {
    Log(LogLevel::kInfo, "told to stop");
    BeginShutdown();
  }
  Settle();
}

void Daemon::OnHangUp() {
  if (has_terminal_) return OnStopSignal();
  Log(LogLevel::kInfo, "told to upgrade");
  if (auto begun = BeginUpgrade({}); !begun) {
    Log(LogLevel::kError, begun.error().ToString());
  }
  Settle();
}

void Daemon::BeginShutdown() {
  if (supervisor_.shutting_down()) return;
  manager_.TellStopping();
  if (upgrade_) launcher_->EndTrial();
  supervisor_.BeginShutdown();
  services_->BeginShutdown();
  shutdown_timer_.emplace(loop_, [this] {
    Log(LogLevel::kWarning, "some processes do not end: killing them");
    supervisor_.BeginShutdown(/*now=*/true);
    shutdown_timer_.emplace(loop_, [this] {
      Log(LogLevel::kError, "some processes cannot be ended: leaving them");
      loop_.Stop();
    });
    shutdown_timer_->Start(kShutdownPatience);
    Settle();
  });
  shutdown_timer_->Start(
      std::max(supervisor_.LongestGrace(), services_->LongestShutdown()) +
      kShutdownPatience);
}

void Daemon::FinishIfDone() {
  if (finished_ || !supervisor_.shutting_down() || !supervisor_.done()) return;
  finished_ = true;
  // What slow readers have not taken by now stays in their sockets' buffers
  // or is lost with the connection.
  loop_.Stop();
}

}  // namespace forkserver::server
