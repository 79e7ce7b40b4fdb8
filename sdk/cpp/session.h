// Session: what a Client does through a daemon. The requests, and the workers
// whose ends it is told of.
//
// Handlers of the connection only store what arrived. Callbacks of the user
// are queued and run when nothing of the session is half done, so they may
// make further requests.
#pragma once

#include <forkserver/client.h>
#include <forkserver/result.h>

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sdk/cpp/connection.h"
#include "sdk/cpp/deadline.h"
#include "sdk/cpp/request_setup.h"
#include "sdk/protocol/messages.h"

namespace forkserver {

// Each function is the one of Client of the same name.
class Session {
 public:
  explicit Session(std::unique_ptr<Connection> connection);

  Result<Worker> Spawn(const SpawnOptions& options);
  Result<Worker> Fork(const ForkOptions& options);
  Result<ExitRecord> Run(const SpawnOptions& options);
  Result<ExitRecord> Run(const ForkOptions& options);
  Result<CallResult> Call(const ForkOptions& options);
  void SpawnAsync(const SpawnOptions& options,
                  std::function<void(Result<Worker>)> done);
  void ForkAsync(const ForkOptions& options,
                 std::function<void(Result<Worker>)> done);
  void OnExit(const std::string& worker_id,
              std::function<void(Result<ExitRecord>)> done);

  Result<ZygoteInfo> StartZygote(const ZygoteOptions& options);
  void StartZygoteAsync(const ZygoteOptions& options,
                        std::function<void(Result<ZygoteInfo>)> done);
  void StopZygoteAsync(const std::string& name,
                       std::function<void(Result<void>)> done);
  Result<std::string> CompareZygote(const ZygoteOptions& options);
  Result<void> StopZygote(const std::string& name);

  Result<ServiceInfo> StartService(const ServiceOptions& options);
  Result<ServiceInfo> StartService(const std::string& name, bool no_wait);
  Result<ServiceInfo> StopService(
      const std::string& name, std::optional<std::chrono::milliseconds> grace,
      bool remove);
  Result<ServiceInfo> RestartService(const std::string& name, bool no_wait);
  Result<std::string> CompareService(const ServiceOptions& options);
  void StartServiceAsync(const ServiceOptions& options,
                         std::function<void(Result<ServiceInfo>)> done);
  void StopServiceAsync(const std::string& name,
                        std::optional<std::chrono::milliseconds> grace,
                        bool remove,
                        std::function<void(Result<ServiceInfo>)> done);

  Result<ExitRecord> Wait(const std::string& worker_id,
                          std::optional<std::chrono::milliseconds> timeout);
  Result<void> Signal(const std::string& worker_id, int signal, bool group);
  Result<ExitRecord> Stop(const std::string& worker_id,
                          std::optional<std::chrono::milliseconds> grace);

  Result<Snapshot> List();
  Result<DaemonStatus> Status();
  Result<void> Shutdown();
  Result<DaemonUpgrade> Upgrade(const std::string& program);
  Result<Snapshot> Subscribe(std::function<void(const Event&)> on_event);

  // A callback of the user runs; a call that blocks would be nested in it.
  bool in_callback() const { return in_callback_; }
  int descriptor() const { return connection_->fd(); }
  const std::string& daemon_version() const { return daemon_version_; }
  Result<void> Process();

 private:
  // What one handler stores and one call waits for. Shared, because the call
  // may give up first.
  template <typename T>
  using Slot = std::shared_ptr<std::optional<Result<T>>>;

  // A worker whose end this connection is told of.
  struct OwnWorker {
    std::optional<Result<ExitRecord>> record;
    bool handed_out = false;  // by Stop, before the record came this way
    std::vector<std::function<void(Result<ExitRecord>)>> on_exit;
  };

  // Sends a spawn or fork request; `done` is called from a handler with its
  // first answer, or at once when it cannot be sent.
  template <typename Request>
  void Launch(const Request& request, const std::vector<int>& fds,
              const std::function<void(Result<Worker>)>& done);
  void StartSpawn(const SpawnOptions& options,
                  const std::function<void(Result<Worker>)>& done);
  void StartFork(const ForkOptions& options, int result_fd,
                 const std::function<void(Result<Worker>)>& done);
  // A request with its descriptors.
  template <typename Request>
  struct Prepared {
    Request request;
    std::vector<int> fds;
  };
  static Result<Prepared<protocol::Spawn>> PrepareSpawn(
      const SpawnOptions& options);
  static Result<Prepared<protocol::Fork>> PrepareFork(
      const ForkOptions& options, int result_fd);
  static Result<Prepared<protocol::ZygoteStart>> PrepareZygoteStart(
      const ZygoteOptions& options);
  static Result<protocol::ServiceStart> PrepareServiceStart(
      const ServiceOptions& options);
  // Sends a request about a service; `done` is called back with its answer.
  template <typename Request>
  void AskAboutService(const Result<Request>& request,
                       std::function<void(Result<ServiceInfo>)> done);
  // Sends it and blocks until its worker has ended.
  template <typename Request>
  Result<ExitRecord> RunToExit(Result<Prepared<Request>> prepared);
  // Calls `start` with a callback and waits until that is called.
  template <typename Start>
  Result<Worker> AwaitLaunch(Start start);
  void FinishOwn(const std::string& worker_id, Result<ExitRecord> record);
  // Worker id in `own_`, its record is there: returns and forgets it.
  Result<ExitRecord> HandOut(const std::string& worker_id);
  bool HasRecord(const std::string& worker_id) const;
  // Reads the result pipe until its end, or until the worker has ended and
  // there is nothing more in it.
  Result<std::string> ReadResult(int pipe, const std::string& worker_id);

  // One request, one reply, blocking.
  template <typename Reply, typename Request>
  Result<Reply> Ask(const Request& request, const std::vector<int>& fds = {});
  // Reads until `done()` is true; false when the deadline passed first.
  template <typename Predicate>
  Result<bool> PumpUntil(Predicate done, const Deadline& deadline = {});
  void RunCallbacks();

  std::unique_ptr<Connection> connection_;
  std::string daemon_version_;
  std::unordered_map<std::string, OwnWorker> own_;
  // Whose record was given to OnExit, the oldest first: kept for Wait, but not
  // without bound.
  std::deque<std::string> told_;
  // The outstanding request for the record of another client's worker.
  std::unordered_map<std::string, Slot<protocol::ExitReply>> waits_;
  std::deque<std::function<void()>> callbacks_;
  bool in_callback_ = false;
};

template <typename Predicate>
Result<bool> Session::PumpUntil(Predicate done, const Deadline& deadline) {
  while (!done()) {
    Result<bool> readable = connection_->AwaitReadable(deadline);
    if (!readable) return readable.error();
    if (!*readable) return false;
    // A loss was told to all handlers, so `done` may be true.
    (void)connection_->ReadAvailable();
    RunCallbacks();
  }
  return true;
}

template <typename Reply, typename Request>
Result<Reply> Session::Ask(const Request& request,
                           const std::vector<int>& fds) {
  const auto slot = std::make_shared<std::optional<Result<Reply>>>();
  auto sent = connection_->Request(request, fds, Connection::Answers::kOne,
                                   [slot](const Connection::Answer& answer) {
                                     *slot = DecodeAnswer<Reply>(answer);
                                   });
  if (!sent) return sent.error();
  auto pumped = PumpUntil([&slot] { return slot->has_value(); });
  if (!pumped) return pumped.error();
  return std::move(**slot);
}

}  // namespace forkserver
