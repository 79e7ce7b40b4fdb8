#include "tools/harness/run/run_daemon.h"

#include <forkserver/version.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <utility>

#include "sdk/cpp/deadline.h"
#include "sdk/cpp/process_end.h"
#include "sdk/process/platform.h"
#include "tools/forkserver/version_skew.h"

namespace forkserver::harness {
namespace {

// Without a client; at its start it waits for its first one that long too.
constexpr std::chrono::milliseconds kIdleExit{2'000};
constexpr std::chrono::seconds kEndPatience{10};

// None serves the socket, or the one that does is about to go.
bool IsAbsent(const Error& error) {
  if (error.code == error_code::kConnectionLost ||
      error.code == error_code::kDaemonStopping) {
    return true;
  }
  return error.code == error_code::kConnectFailed &&
         (error.error_number == ENOENT || error.error_number == ECONNREFUSED);
}

}  // namespace

Result<RunDaemon> RunDaemon::Connect(DaemonChoice choice) {
  RunDaemon daemon(std::move(choice));
  if (auto connected = daemon.ConnectToAny(); !connected) {
    return connected.error();
  }
  return daemon;
}

Result<void> RunDaemon::ConnectToAny() {
  ConnectOptions options;
  options.client_name = std::string("forkserver-test ") + kVersion;
  options.socket_path = choice_.socket_path;
  options.start_daemon = false;
  private_ = choice_.always_private;
  if (!private_) {
    Result<Client> client = Client::Connect(options);
    if (client) {
      client_ = *std::move(client);
      cli::TellVersionSkew(*client_);
      return Learn();
    }
    if (!IsAbsent(client.error()) || choice_.must_serve) return client.error();
    private_ = true;
  }
  // A number each: the one before may still be about to end.
  options.socket_path =
      choice_.private_folder + "/d" + std::to_string(++started_) + ".sock";
  options.start_daemon = true;
  options.daemon_idle_exit = kIdleExit;
  options.daemon_keeps_surroundings = true;
  Result<Client> client = Client::Connect(options);
  if (!client) return client.error();
  client_ = *std::move(client);
  return Learn();
}

Result<void> RunDaemon::Learn() {
  if (client_->descriptor() < 0) {
    return MakeError(error_code::kDisabled,
                     "the tests run in workers of forkserverd, and "
                     "FORKSERVER_DISABLE is set",
                     "unset FORKSERVER_DISABLE");
  }
  Result<DaemonStatus> status = client_->Status();
  if (!status) return status.error();
  pid_ = static_cast<pid_t>(status->pid);
  return {};
}

Result<void> RunDaemon::Reconnect() {
  choice_.must_serve = false;
  return ConnectToAny();
}

void RunDaemon::EndAtOnce() {
  if (!private_) return;
  // The second says that it is not to wait. Not the same one: two that are
  // pending would be one.
  ::kill(pid_, SIGTERM);
  ::kill(pid_, SIGINT);
}

RunDaemon::~RunDaemon() {
  if (!private_ || !client_) return;
  const UniqueFd process = OpenProcess(pid_);
  if (!client_->Shutdown()) return;  // it has ended, or is about to
  const Deadline deadline = Deadline::After(kEndPatience);
  while (!ProcessHasEnded(pid_) && !deadline.Passed()) {
    AwaitProcessEnd(process.get(), deadline);
  }
}

}  // namespace forkserver::harness
