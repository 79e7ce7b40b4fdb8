// The part of Dispatcher that crosses an upgrade: what is written down of it,
// and made of that again.
#include <utility>

#include "server/control/dispatcher.h"
#include "server/logging.h"

namespace forkserver::server {

protocol::HandedWaiter Dispatcher::Hand(std::int64_t key,
                                        const Waiter& waiter) {
  protocol::HandedWaiter handed;
  handed.key = key;
  handed.owner = static_cast<std::int64_t>(waiter.owner);
  handed.request = static_cast<std::int64_t>(waiter.request);
  handed.exit_frame = waiter.exit_frame;
  handed.quiet = waiter.quiet;
  return handed;
}

Dispatcher::Waiter Dispatcher::TakeWaiter(
    const protocol::HandedWaiter& handed) {
  return {static_cast<OwnerId>(handed.owner),
          static_cast<std::uint64_t>(handed.request), handed.exit_frame,
          handed.quiet};
}

void Dispatcher::WriteDown(HandedFds& fds,
                           protocol::HandedControl& handed) const {
  handed.started_ns = started_ns_;
  for (const auto& [id, connection] : connections_) {
    handed.connections.push_back(connection->WriteDown(fds));
  }
  for (const auto& [key, waiter] : launches_) {
    handed.launches.push_back(Hand(static_cast<std::int64_t>(key), waiter));
  }
  for (auto [from, to] : {std::pair(&zygote_waiters_, &handed.zygotes),
                          std::pair(&exit_waiters_, &handed.exits)}) {
    for (const auto& [key, waiters] : *from) {
      for (const Waiter& waiter : waiters) {
        to->push_back(Hand(static_cast<std::int64_t>(key), waiter));
      }
    }
  }
  for (const auto& [name, waiters] : service_waiters_) {
    for (const ServiceWaiter& waiter : waiters) {
      protocol::HandedWaiter& one = handed.services.emplace_back();
      one.service = name;
      one.owner = static_cast<std::int64_t>(waiter.owner);
      one.request = static_cast<std::int64_t>(waiter.request);
      one.up = waiter.up;
    }
  }
  if (upgrade_waiter_) handed.upgrade = Hand(0, *upgrade_waiter_);
}

Result<void> Dispatcher::Resume(protocol::HandedControl& handed) {
  started_ns_ = handed.started_ns;
  for (const protocol::HandedWaiter& one : handed.launches) {
    launches_[static_cast<ProcessKey>(one.key)] = TakeWaiter(one);
  }
  for (const protocol::HandedWaiter& one : handed.zygotes) {
    zygote_waiters_[static_cast<ProcessKey>(one.key)].push_back(
        TakeWaiter(one));
  }
  for (const protocol::HandedWaiter& one : handed.exits) {
    exit_waiters_[static_cast<ProcessKey>(one.key)].push_back(TakeWaiter(one));
  }
  for (const protocol::HandedWaiter& one : handed.services) {
    service_waiters_[one.service].push_back(
        {static_cast<OwnerId>(one.owner),
         static_cast<std::uint64_t>(one.request), one.up});
  }
  if (handed.upgrade) upgrade_waiter_ = TakeWaiter(*handed.upgrade);
  for (protocol::HandedConnection& one : handed.connections) {
    auto connection = std::make_unique<Connection>(std::move(one));
    if (!connection->subscriptions.empty()) ++subscribers_;
    // What waits for it is sent with the first flush.
    dirty_.push_back(connection->id());
    if (!Watch(std::move(connection))) {
      return MakeError(error_code::kLimitReached,
                       "the system does not let forkserverd watch a client");
    }
  }
  return {};
}

}  // namespace forkserver::server
