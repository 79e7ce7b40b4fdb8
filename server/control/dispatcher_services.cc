// The part of Dispatcher that serves the requests about services.
#include <algorithm>
#include <utility>

#include "sdk/process/platform.h"
#include "sdk/protocol/messages.h"
#include "server/control/dispatcher.h"
#include "server/logging.h"

namespace forkserver::server {

Snapshot Dispatcher::TakeSnapshot() const {
  Snapshot snapshot = supervisor_.TakeSnapshot();
  snapshot.services = services_.All();
  return snapshot;
}

Result<void> Dispatcher::HandleServiceStart(Connection& connection,
                                            Connection::Frame& frame) {
  const Supervisor::Requester requester = RequesterOf(connection);
  auto request = frame.message->Decode<protocol::ServiceStart>();
  if (!request) return request.error();
  if (!frame.fds.empty()) {
    return MakeError(error_code::kBadDescriptor,
                     "a service takes no descriptors of its client");
  }
  const std::string name = request->name;
  const std::uint64_t id = frame.message->envelope().id;
  if (request->compare) {
    auto difference = services_.Compare(requester, *std::move(request));
    if (!difference) return difference.error();
    Reply(connection, id,
          protocol::ServiceReply{services_.InfoOf(*services_.Find(name)),
                                 *std::move(difference)});
    return {};
  }
  const bool no_wait = request->no_wait;
  if (auto started = services_.Start(requester, std::move(*request));
      !started) {
    return started.error();
  }
  if (no_wait) {
    Reply(connection, id,
          protocol::ServiceReply{services_.InfoOf(*services_.Find(name)), {}});
  } else {
    AwaitService(connection, name, {connection.id(), id, true});
  }
  return {};
}

Result<void> Dispatcher::HandleServiceStop(Connection& connection,
                                           Connection::Frame& frame) {
  auto request = frame.message->Decode<protocol::ServiceStop>();
  if (!request) return request.error();
  std::optional<ServiceInfo> last;
  if (const Service* const service = services_.Find(request->name)) {
    last = services_.InfoOf(*service);
  }
  if (auto stopped = services_.Stop(*request); !stopped) {
    return stopped.error();
  }
  const std::uint64_t id = frame.message->envelope().id;
  if (services_.Find(request->name) == nullptr) {
    last->state = ServiceState::kStopped;
    Reply(connection, id, protocol::ServiceReply{*std::move(last), {}});
    return {};
  }
  AwaitService(connection, request->name, {connection.id(), id, false});
  return {};
}

Result<void> Dispatcher::HandleServiceRestart(Connection& connection,
                                              Connection::Frame& frame) {
  auto request = frame.message->Decode<protocol::ServiceRestart>();
  if (!request) return request.error();
  if (auto restarted = services_.Restart(request->name); !restarted) {
    return restarted.error();
  }
  const std::uint64_t id = frame.message->envelope().id;
  if (request->no_wait) {
    Reply(connection, id,
          protocol::ServiceReply{
              services_.InfoOf(*services_.Find(request->name)), {}});
  } else {
    AwaitService(connection, request->name, {connection.id(), id, true});
  }
  return {};
}

void Dispatcher::AwaitService(Connection&, const std::string& name,
                              const ServiceWaiter& waiter) {
  const ServiceInfo info = services_.InfoOf(*services_.Find(name));
  if (AnswerAboutService(waiter, info)) return;
  service_waiters_[name].push_back(waiter);
}

bool Dispatcher::AnswerAboutService(const ServiceWaiter& waiter,
                                    const ServiceInfo& service) {
  using enum ServiceState;
  const bool gone = service.state != kStopping && service.state != kRestarting;
  const bool up = service.state == kRunning || service.state == kFinished;
  const bool down = service.state == kFailed || service.state == kStopped;
  if (waiter.up ? !up && !down : !gone) return false;
  Connection* const connection = Find(waiter.owner);
  if (connection == nullptr) return true;
  if (waiter.up && down) {
    const bool failed = service.state == kFailed;
    connection->Reply(protocol::EncodeError(
        waiter.request,
        MakeError(
            failed ? error_code::kServiceFailed : error_code::kServiceStopped,
            "service '" + service.name + "' " +
                (failed ? "has failed" : "was stopped") +
                (service.why.empty() ? "" : ": " + service.why),
            failed && service.exit && !service.log.empty()
                ? "see `forkserver logs " + service.name + "`"
                : "")));
    MarkDirty(*connection);
  } else {
    Reply(*connection, waiter.request, protocol::ServiceReply{service, {}});
  }
  return true;
}

void Dispatcher::Deliver(const std::vector<ServiceChanged>& changes) {
  for (const ServiceChanged& change : changes) {
    const ServiceInfo& service = change.service;
    if (change.removed || service.state == ServiceState::kFailed) {
      Log(LogLevel::kInfo, "service '" + service.name + "' " +
                               (change.removed ? std::string("is removed")
                                               : "has failed: " + service.why));
    } else if (LogEnabled(LogLevel::kDebug)) {
      Log(LogLevel::kDebug, "service '" + service.name + "' is " +
                                std::string(NameOf(service.state)));
    }
    const auto waiting = service_waiters_.find(service.name);
    if (waiting != service_waiters_.end()) {
      std::erase_if(waiting->second, [&](const ServiceWaiter& waiter) {
        return AnswerAboutService(waiter, service);
      });
      if (waiting->second.empty()) service_waiters_.erase(waiting);
    }
    if (subscribers_ == 0) continue;
    Event published;
    published.event = change.removed ? "service_removed" : "service_changed";
    published.time_ns = MonotonicNanoseconds();
    published.service = service;
    Publish(published);
  }
}

}  // namespace forkserver::server
