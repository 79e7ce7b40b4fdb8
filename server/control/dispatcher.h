// The control layer's centre: connections, the table of requests, and who
// waits for what. Requests go down to the supervisor; its events come back
// here and become replies and events of the wire.
#pragma once

#include <forkserver/result.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "sdk/process/poll_set.h"
#include "sdk/protocol/upgrade_messages.h"
#include "server/control/connection.h"
#include "server/event_loop/loop.h"
#include "server/services/services.h"
#include "server/supervisor/supervisor.h"

namespace forkserver::server {

class Dispatcher {
 public:
  struct Options {
    std::string version;
    std::string socket_path;
    std::string log_path;
    std::int64_t upgrades = 0;  // so far
    // Called when a client asks the daemon to stop.
    std::function<void()> on_shutdown;
    // Called when a client asks for an upgrade to this program, or to the
    // daemon's own if it is empty. AnswerUpgrade follows, unless it returns an
    // error.
    std::function<Result<void>(const std::string& program)> on_upgrade;
    // Called after every batch of requests, so that the daemon can deliver
    // what they brought about.
    std::function<void()> after_batch;
  };
  // `loop`, `supervisor` and `services` are borrowed.
  static Result<std::unique_ptr<Dispatcher>> Create(Loop& loop,
                                                    Supervisor& supervisor,
                                                    Services& services,
                                                    Options options);
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  // What the program that this one replaces has handed over; call once, before
  // anything else. Of `handed` what is the dispatcher's own. Error if one of
  // the clients cannot be heard.
  Result<void> Resume(protocol::HandedControl& handed);
  void WriteDown(HandedFds& fds, protocol::HandedControl& handed) const;

  void AddConnection(std::unique_ptr<Connection> connection);
  // Turns the supervisor's events into replies and events.
  void Deliver(const std::vector<SupervisorEvent>& events);
  // The same for the changes of services.
  void Deliver(const std::vector<ServiceChanged>& changes);
  // Answers who asked for the upgrade that is under way, if a client did.
  void AnswerUpgrade(const Result<protocol::UpgradeReply>& outcome);
  // Sends what was queued, and closes who is gone.
  void FlushAll();

  std::size_t connections() const { return connections_.size(); }
  // False: the system does not let it watch its clients. Useless then.
  bool valid() const { return clients_watcher_->valid(); }

 private:
  // The way back for the answer of one request.
  struct Waiter {
    OwnerId owner = 0;
    std::uint64_t request = 0;
    bool exit_frame = false;  // an `exit` message, not a reply
    bool quiet = false;       // answered only if the launch fails
  };
  // Who is answered by what becomes of a service.
  struct ServiceWaiter {
    OwnerId owner = 0;
    std::uint64_t request = 0;
    bool up = false;  // when it is ready or never will be; else when it is gone
  };
  static protocol::HandedWaiter Hand(std::int64_t key, const Waiter& waiter);
  static Waiter TakeWaiter(const protocol::HandedWaiter& handed);
  using Handler = Result<void> (Dispatcher::*)(Connection&, Connection::Frame&);
  struct Entry {
    const char* type;
    Handler handler;
    bool needs_hello;
  };
  static const Entry kTable[];

  Dispatcher(Loop& loop, Supervisor& supervisor, Services& services,
             Options options, PollSet clients);

  // Becomes known. False: it cannot be watched.
  bool Watch(std::unique_ptr<Connection> connection);
  void OnReadable(Connection& connection);
  void OnClientEnded();
  void Dispatch(Connection& connection, Connection::Frame frame);
  void CloseConnection(OwnerId id, const char* why);
  // The same after a last look at what it sent.
  void HearOutAndClose(OwnerId id, const char* why);
  Connection* Find(OwnerId id);
  void MarkDirty(Connection& connection);

  Result<void> HandleHello(Connection& connection, Connection::Frame& frame);
  Result<void> HandleSpawn(Connection& connection, Connection::Frame& frame);
  Result<void> HandleFork(Connection& connection, Connection::Frame& frame);
  Result<void> HandleZygoteStart(Connection& connection,
                                 Connection::Frame& frame);
  Result<void> HandleZygoteStop(Connection& connection,
                                Connection::Frame& frame);
  Result<void> HandleServiceStart(Connection& connection,
                                  Connection::Frame& frame);
  Result<void> HandleServiceStop(Connection& connection,
                                 Connection::Frame& frame);
  Result<void> HandleServiceRestart(Connection& connection,
                                    Connection::Frame& frame);
  Result<void> HandleWait(Connection& connection, Connection::Frame& frame);
  Result<void> HandleSignal(Connection& connection, Connection::Frame& frame);
  Result<void> HandleStop(Connection& connection, Connection::Frame& frame);
  Result<void> HandleList(Connection& connection, Connection::Frame& frame);
  Result<void> HandleStatus(Connection& connection, Connection::Frame& frame);
  Result<void> HandleSubscribe(Connection& connection,
                               Connection::Frame& frame);
  Result<void> HandleShutdown(Connection& connection, Connection::Frame& frame);
  Result<void> HandleUpgrade(Connection& connection, Connection::Frame& frame);

  template <typename Body>
  void Reply(Connection& connection, std::uint64_t id, const Body& body);
  Supervisor::Requester RequesterOf(const Connection& connection);
  void AwaitLaunch(Connection& connection, ProcessKey key,
                   std::uint64_t request, const protocol::Policy& policy);
  void WaitForExit(Connection& connection, ProcessKey key,
                   std::uint64_t request, bool exit_frame);
  void Publish(const Event& event);
  // Answers a request about a service, now or when it has come to that.
  void AwaitService(Connection& connection, const std::string& name,
                    const ServiceWaiter& waiter);
  // False: not yet.
  bool AnswerAboutService(const ServiceWaiter& waiter,
                          const ServiceInfo& service);
  Snapshot TakeSnapshot() const;

  void On(const WorkerLaunched& event);
  void On(const WorkerLaunchFailed& event);
  void On(const WorkerEnded& event);
  void On(const ZygoteChanged& event);
  void On(const ZygoteStartFailed& event);
  void On(const ProgramTried&) {}

  Loop& loop_;
  Supervisor& supervisor_;
  Services& services_;
  Options options_;
  std::int64_t started_ns_;
  ResourceLimits own_limits_;
  // Of the client whose requests are being handled: read once for all that came
  // at once.
  std::optional<ResourceLimits> requester_limits_;
  std::unordered_map<OwnerId, std::unique_ptr<Connection>> connections_;
  std::vector<OwnerId> dirty_;
  std::size_t subscribers_ = 0;
  // Requests that are answered when the process has started...
  std::unordered_map<ProcessKey, Waiter> launches_;
  // ... when the zygote is ready...
  std::unordered_map<ProcessKey, std::vector<Waiter>> zygote_waiters_;
  // ... when the worker has ended.
  std::unordered_map<ProcessKey, std::vector<Waiter>> exit_waiters_;
  // By the name of the service.
  std::unordered_map<std::string, std::vector<ServiceWaiter>> service_waiters_;
  std::optional<Waiter> upgrade_waiter_;
  // The ends of the processes that connected.
  PollSet clients_;
  std::unique_ptr<FdWatcher> clients_watcher_;
};

template <typename Body>
void Dispatcher::Reply(Connection& connection, std::uint64_t id,
                       const Body& body) {
  connection.Reply(protocol::EncodeReply(id, body));
  MarkDirty(connection);
}

}  // namespace forkserver::server
