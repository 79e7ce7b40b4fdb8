// The part of Dispatcher that turns the supervisor's events into answers.
#include <utility>

#include "sdk/process/platform.h"
#include "sdk/protocol/messages.h"
#include "server/control/dispatcher.h"
#include "server/logging.h"

namespace forkserver::server {

using protocol::frame_type::kEvent;

void Dispatcher::Deliver(const std::vector<SupervisorEvent>& events) {
  for (const SupervisorEvent& event : events) {
    std::visit([this](const auto& one) { On(one); }, event);
  }
}

void Dispatcher::Publish(const Event& event) {
  if (subscribers_ == 0) return;
  for (auto& [id, connection] : connections_) {
    for (const std::uint64_t subscription : connection->subscriptions) {
      connection->outbox().AddEvent(
          protocol::EncodeFrame({kEvent, subscription, 0}, event));
      MarkDirty(*connection);
    }
  }
}

void Dispatcher::On(const WorkerLaunched& event) {
  if (LogEnabled(LogLevel::kDebug)) {
    Log(LogLevel::kDebug, "worker " + event.worker.id + " runs, pid " +
                              std::to_string(event.worker.pid));
  }
  const auto launch = launches_.find(event.key);
  if (launch != launches_.end()) {
    Connection* const connection = Find(launch->second.owner);
    if (connection != nullptr && !launch->second.quiet) {
      Reply(*connection, launch->second.request,
            protocol::WorkerReply{event.worker});
    }
    launches_.erase(launch);
  }
  if (subscribers_ == 0) return;
  Event published;
  published.event = "worker_launched";
  published.time_ns = MonotonicNanoseconds();
  published.worker = event.worker;
  Publish(published);
}

void Dispatcher::On(const WorkerLaunchFailed& event) {
  // Nothing waits for the exit of what never ran.
  const auto launch = launches_.find(event.key);
  std::uint64_t answered = 0;
  if (launch != launches_.end()) {
    answered = launch->second.request;
    if (Connection* const connection = Find(launch->second.owner)) {
      connection->Reply(protocol::EncodeError(answered, event.error));
      connection->waits_on.erase(event.key);
      MarkDirty(*connection);
    }
    launches_.erase(launch);
  }
  const auto waiting = exit_waiters_.find(event.key);
  if (waiting == exit_waiters_.end()) return;
  for (const Waiter& waiter : waiting->second) {
    Connection* const connection = Find(waiter.owner);
    if (connection == nullptr || waiter.exit_frame) continue;
    connection->Reply(protocol::EncodeError(waiter.request, event.error));
    connection->waits_on.erase(event.key);
    MarkDirty(*connection);
  }
  exit_waiters_.erase(waiting);
}

void Dispatcher::On(const WorkerEnded& event) {
  const ExitRecord& record = *event.worker.exit;
  if (LogEnabled(LogLevel::kDebug)) {
    Log(LogLevel::kDebug, "worker " + record.id +
                              " ended: " + std::string(NameOf(record.reason)));
  }
  const auto waiting = exit_waiters_.find(event.key);
  if (waiting != exit_waiters_.end()) {
    for (const Waiter& waiter : waiting->second) {
      Connection* const connection = Find(waiter.owner);
      if (connection == nullptr) continue;
      connection->waits_on.erase(event.key);
      if (waiter.exit_frame) {
        connection->Reply(protocol::EncodeFrame(
            {protocol::frame_type::kExit, waiter.request, 0}, record));
        MarkDirty(*connection);
      } else {
        Reply(*connection, waiter.request, protocol::ExitReply{record});
      }
    }
    exit_waiters_.erase(waiting);
  }
  if (subscribers_ == 0) return;
  Event published;
  published.event = "worker_ended";
  published.time_ns = record.journey.ended_ns;
  published.worker = event.worker;
  Publish(published);
}

void Dispatcher::On(const ZygoteChanged& event) {
  Log(LogLevel::kInfo, event.event + " '" + event.zygote.name + "', pid " +
                           std::to_string(event.zygote.pid));
  const std::optional<Audit>& audit = event.zygote.audit;
  if (event.event == "zygote_ready" && audit &&
      audit->verdict != AuditVerdict::kSafe &&
      event.zygote.audit_policy == AuditPolicy::kWarn) {
    Log(LogLevel::kWarning, "zygote '" + event.zygote.name +
                                "' is in service though its audit says " +
                                std::string(NameOf(audit->verdict)));
  }
  if (event.event == "zygote_quarantined") {
    Log(LogLevel::kWarning, "zygote '" + event.zygote.name +
                                "' is quarantined: " + event.zygote.quarantine);
  }
  if (event.event == "zygote_ready") {
    const auto waiting = zygote_waiters_.find(event.key);
    if (waiting != zygote_waiters_.end()) {
      for (const Waiter& waiter : waiting->second) {
        Connection* const connection = Find(waiter.owner);
        if (connection == nullptr) continue;
        connection->waits_on.erase(event.key);
        Reply(*connection, waiter.request,
              protocol::ZygoteReply{event.zygote, {}});
      }
      zygote_waiters_.erase(waiting);
    }
  }
  if (subscribers_ == 0) return;
  Event published;
  published.event = event.event;
  published.time_ns = MonotonicNanoseconds();
  published.zygote = event.zygote;
  Publish(published);
}

void Dispatcher::On(const ZygoteStartFailed& event) {
  Log(LogLevel::kWarning, event.error.ToString());
  const auto waiting = zygote_waiters_.find(event.key);
  if (waiting == zygote_waiters_.end()) return;
  for (const Waiter& waiter : waiting->second) {
    Connection* const connection = Find(waiter.owner);
    if (connection == nullptr) continue;
    connection->waits_on.erase(event.key);
    connection->Reply(protocol::EncodeError(waiter.request, event.error));
    MarkDirty(*connection);
  }
  zygote_waiters_.erase(waiting);
}

}  // namespace forkserver::server
