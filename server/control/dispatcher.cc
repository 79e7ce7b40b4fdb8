#include "server/control/dispatcher.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "sdk/process/platform.h"
#include "sdk/protocol/messages.h"
#include "server/logging.h"

namespace forkserver::server {
namespace {

using protocol::frame_type::kEvent;

constexpr std::size_t kMaxSubscriptions = 16;

}  // namespace

Result<std::unique_ptr<Dispatcher>> Dispatcher::Create(Loop& loop,
                                                       Supervisor& supervisor,
                                                       Services& services,
                                                       Options options) {
  Result<PollSet> clients = PollSet::Create();
  if (!clients) return clients.error();
  return std::unique_ptr<Dispatcher>(new Dispatcher(
      loop, supervisor, services, std::move(options), std::move(*clients)));
}

Dispatcher::Dispatcher(Loop& loop, Supervisor& supervisor, Services& services,
                       Options options, PollSet clients)
    : loop_(loop),
      supervisor_(supervisor),
      services_(services),
      options_(std::move(options)),
      started_ns_(MonotonicNanoseconds()),
      own_limits_(ReadLimits(::getpid()).value_or(ResourceLimits())),
      clients_(std::move(clients)) {
  clients_watcher_ = std::make_unique<FdWatcher>(
      loop_, clients_.fd(), [this](bool, bool) { OnClientEnded(); });
}

void Dispatcher::AddConnection(std::unique_ptr<Connection> connection) {
  Connection& added = *connection;
  if (Watch(std::move(connection))) return;
  added.closing = true;
  added.Reply(protocol::EncodeError(
      0, MakeError(error_code::kDescriptorLimit,
                   "the system does not let forkserverd watch another client",
                   "raise fs.epoll.max_user_watches, or end some clients")));
  MarkDirty(added);
}

bool Dispatcher::Watch(std::unique_ptr<Connection> connection) {
  Connection& added = *connection;
  const OwnerId id = added.id();
  connections_[id] = std::move(connection);
  // A client is gone when its connection ends or the process that connected
  // dies: a forked child of it may hold the descriptor open. (No descriptor:
  // an old kernel, where the end of the connection has to do.)
  const bool watched =
      clients_.AddProcess(added.pid(), added.process_fd(), id).has_value() ||
      added.process_fd() < 0;
  added.watcher.emplace(loop_, added.socket(),
                        [this, id](bool readable, bool writable) {
                          Connection* const one = Find(id);
                          if (one == nullptr) return;
                          if (writable) MarkDirty(*one);
                          if (readable) OnReadable(*one);
                          options_.after_batch();
                        });
  return watched && added.watcher->valid();
}

Connection* Dispatcher::Find(OwnerId id) {
  const auto found = connections_.find(id);
  return found == connections_.end() ? nullptr : found->second.get();
}

void Dispatcher::OnReadable(Connection& connection) {
  const bool alive = connection.Receive();
  requester_limits_.reset();
  // Nobody reads what a stalled client is answered: FlushAll closes it.
  while (!connection.outbox().stalled()) {
    auto frame = connection.NextFrame();
    if (!frame) break;
    Dispatch(connection, std::move(*frame));
  }
  if (connection.closing || !connection.outbox().empty()) {
    MarkDirty(connection);
  }
  if (!connection.closing && !alive) {
    CloseConnection(connection.id(), "its connection ended");
  }
}

void Dispatcher::OnClientEnded() {
  std::vector<PollSet::Event> events;
  static_cast<void>(clients_.Wait(0, events));
  for (const PollSet::Event& event : events) {
    HearOutAndClose(event.token, "its process ended");
  }
  options_.after_batch();
}

void Dispatcher::CloseConnection(OwnerId id, const char* why) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  Connection& connection = *found->second;
  if (LogEnabled(LogLevel::kDebug)) {
    Log(LogLevel::kDebug, "client " + std::to_string(id) + " (pid " +
                              std::to_string(connection.pid()) +
                              ") is gone: " + why);
  }
  if (!connection.subscriptions.empty()) --subscribers_;
  for (const ProcessKey key : connection.waits_on) {
    for (auto* const waiters : {&exit_waiters_, &zygote_waiters_}) {
      const auto waiting = waiters->find(key);
      if (waiting == waiters->end()) continue;
      std::erase_if(waiting->second,
                    [id](const Waiter& waiter) { return waiter.owner == id; });
      if (waiting->second.empty()) waiters->erase(waiting);
    }
  }
  for (auto& [name, waiters] : service_waiters_) {
    std::erase_if(waiters, [id](const ServiceWaiter& waiter) {
      return waiter.owner == id;
    });
  }
  if (connection.process_fd() >= 0) clients_.Remove(connection.process_fd());
  connection.watcher.reset();
  connections_.erase(found);
  supervisor_.OwnerGone(id);
}

void Dispatcher::HearOutAndClose(OwnerId id, const char* why) {
  // What it asked for before it went counts (a detached worker, say), as it
  // does for one whose end is found by reading.
  if (Connection* const connection = Find(id)) OnReadable(*connection);
  CloseConnection(id, why);
}

void Dispatcher::MarkDirty(Connection& connection) {
  if (dirty_.empty() || dirty_.back() != connection.id()) {
    dirty_.push_back(connection.id());
  }
}

void Dispatcher::FlushAll() {
  // Closing a connection may bring about events for others.
  for (const OwnerId id : std::exchange(dirty_, {})) {
    Connection* const connection = Find(id);
    if (connection == nullptr) continue;
    Outbox& outbox = connection->outbox();
    Outbox::Status status = outbox.Flush(connection->socket());
    if (status == Outbox::Status::kEmpty && outbox.TakeOverrun()) {
      Event event;
      event.event = "overrun";
      event.time_ns = MonotonicNanoseconds();
      event.snapshot = TakeSnapshot();
      for (const std::uint64_t subscription : connection->subscriptions) {
        outbox.AddReply(
            protocol::EncodeFrame({kEvent, subscription, 0}, event));
      }
      status = outbox.Flush(connection->socket());
    }
    if (status == Outbox::Status::kBroken) {
      HearOutAndClose(id, "its connection broke");
    } else if (outbox.stalled()) {
      Log(LogLevel::kWarning,
          "client " + std::to_string(id) + " (pid " +
              std::to_string(connection->pid()) +
              ") does not read its replies: client_stalled");
      CloseConnection(id, error_code::kClientStalled);
    } else if (connection->closing && status == Outbox::Status::kEmpty) {
      CloseConnection(id, "it broke the protocol");
    } else {
      // A closing one is not read any more: it would never stop.
      connection->watcher->Watch(!connection->closing,
                                 status == Outbox::Status::kBlocked);
      if (!connection->watcher->valid()) {
        CloseConnection(id, "it cannot be watched");
      }
    }
  }
}

const Dispatcher::Entry Dispatcher::kTable[] = {
    {protocol::Spawn::kType, &Dispatcher::HandleSpawn, true},
    {protocol::Fork::kType, &Dispatcher::HandleFork, true},
    {protocol::Wait::kType, &Dispatcher::HandleWait, true},
    {protocol::Signal::kType, &Dispatcher::HandleSignal, true},
    {protocol::Stop::kType, &Dispatcher::HandleStop, true},
    {protocol::ZygoteStart::kType, &Dispatcher::HandleZygoteStart, true},
    {protocol::ZygoteStop::kType, &Dispatcher::HandleZygoteStop, true},
    {protocol::ServiceStart::kType, &Dispatcher::HandleServiceStart, true},
    {protocol::ServiceStop::kType, &Dispatcher::HandleServiceStop, true},
    {protocol::ServiceRestart::kType, &Dispatcher::HandleServiceRestart, true},
    {protocol::List::kType, &Dispatcher::HandleList, true},
    {protocol::Status::kType, &Dispatcher::HandleStatus, true},
    {protocol::Subscribe::kType, &Dispatcher::HandleSubscribe, true},
    {protocol::Shutdown::kType, &Dispatcher::HandleShutdown, true},
    {protocol::Upgrade::kType, &Dispatcher::HandleUpgrade, true},
    {protocol::Hello::kType, &Dispatcher::HandleHello, false},
};

void Dispatcher::Dispatch(Connection& connection, Connection::Frame frame) {
  MarkDirty(connection);
  if (!frame.message) {
    connection.Reply(protocol::EncodeError(0, frame.message.error()));
    return;
  }
  const protocol::Envelope envelope = frame.message->envelope();
  const auto handle = [&]() -> Result<void> {
    for (const Entry& entry : kTable) {
      if (envelope.type != entry.type) continue;
      if (entry.needs_hello && connection.protocol == 0) {
        return MakeError(error_code::kHelloRequired,
                         "'" + envelope.type + "' came before 'hello'",
                         "the first request of a connection is 'hello'");
      }
      return (this->*entry.handler)(connection, frame);
    }
    std::string known;
    for (const Entry& entry : kTable) known += std::string(" ") + entry.type;
    return MakeError(
        error_code::kUnknownRequest,
        "there is no request '" + envelope.type + "', known are:" + known);
  };
  if (auto handled = handle(); !handled) {
    connection.Reply(protocol::EncodeError(envelope.id, handled.error()));
  }
}

Supervisor::Requester Dispatcher::RequesterOf(const Connection& connection) {
  Supervisor::Requester requester;
  requester.owner = connection.id();
  requester.received_ns = MonotonicNanoseconds();
  // A worker gets the limits of the client, not of the daemon: those that
  // differ have to be set.
  if (!requester_limits_) {
    requester_limits_ =
        ReadLimits(connection.pid(), own_limits_).value_or(ResourceLimits());
  }
  requester.limits = *requester_limits_;
  return requester;
}

Result<void> Dispatcher::HandleHello(Connection& connection,
                                     Connection::Frame& frame) {
  auto hello = frame.message->Decode<protocol::Hello>();
  if (!hello) return hello.error();
  const std::int64_t common =
      std::min(hello->max_protocol, protocol::kMaxProtocol);
  if (common < std::max(hello->min_protocol, protocol::kMinProtocol)) {
    return MakeError(error_code::kVersionMismatch,
                     "the client speaks protocols " +
                         std::to_string(hello->min_protocol) + ".." +
                         std::to_string(hello->max_protocol) +
                         ", forkserverd " + options_.version + " speaks " +
                         std::to_string(protocol::kMinProtocol) + ".." +
                         std::to_string(protocol::kMaxProtocol),
                     "install matching versions and restart forkserverd");
  }
  connection.protocol = common;
  connection.client = std::move(hello->client);
  protocol::HelloReply reply;
  reply.protocol = common;
  reply.version = options_.version;
  DaemonStatus status;
  supervisor_.FillStatus(status);
  reply.instance = status.instance;
  reply.pid = ::getpid();
  reply.capabilities = {"exec", "zygote", "fds", "events", "services"};
  Reply(connection, frame.message->envelope().id, reply);
  return {};
}

Result<void> Dispatcher::HandleSpawn(Connection& connection,
                                     Connection::Frame& frame) {
  const Supervisor::Requester requester = RequesterOf(connection);
  auto request = frame.message->Decode<protocol::Spawn>();
  if (!request) return request.error();
  auto key = supervisor_.Spawn(requester, *request, frame.fds);
  if (!key) return key.error();
  AwaitLaunch(connection, *key, frame.message->envelope().id, request->policy);
  return {};
}

Result<void> Dispatcher::HandleFork(Connection& connection,
                                    Connection::Frame& frame) {
  const Supervisor::Requester requester = RequesterOf(connection);
  auto request = frame.message->Decode<protocol::Fork>();
  if (!request) return request.error();
  const protocol::Policy policy = request->policy;
  auto key =
      supervisor_.Fork(requester, std::move(*request), std::move(frame.fds));
  if (!key) return key.error();
  AwaitLaunch(connection, *key, frame.message->envelope().id, policy);
  return {};
}

Result<void> Dispatcher::HandleZygoteStart(Connection& connection,
                                           Connection::Frame& frame) {
  const Supervisor::Requester requester = RequesterOf(connection);
  auto request = frame.message->Decode<protocol::ZygoteStart>();
  if (!request) return request.error();
  const std::uint64_t id = frame.message->envelope().id;
  if (request->compare) {
    auto compared = supervisor_.CompareZygote(*request);
    if (!compared) return compared.error();
    Reply(connection, id, *std::move(compared));
    return {};
  }
  auto key = supervisor_.StartZygote(requester, std::move(*request),
                                     std::move(frame.fds));
  if (!key) return key.error();
  const Zygote* const zygote = supervisor_.FindZygote(*key);
  if (zygote != nullptr && zygote->state == ZygoteState::kReady) {
    Reply(connection, id,
          protocol::ZygoteReply{supervisor_.InfoOf(*zygote), {}});
    return {};
  }
  zygote_waiters_[*key].push_back({connection.id(), id, false, false});
  connection.waits_on.insert(*key);
  return {};
}

Result<void> Dispatcher::HandleZygoteStop(Connection& connection,
                                          Connection::Frame& frame) {
  auto request = frame.message->Decode<protocol::ZygoteStop>();
  if (!request) return request.error();
  if (auto stopped = supervisor_.StopZygote(request->name); !stopped) {
    return stopped.error();
  }
  Reply(connection, frame.message->envelope().id, protocol::Done{});
  return {};
}

void Dispatcher::AwaitLaunch(Connection& connection, ProcessKey key,
                             std::uint64_t request,
                             const protocol::Policy& policy) {
  Waiter& waiter = launches_[key];
  waiter.owner = connection.id();
  waiter.request = request;
  waiter.quiet = policy.exit_only;
  if (policy.watch || policy.exit_only) {
    WaitForExit(connection, key, request, /*exit_frame=*/true);
  }
}

void Dispatcher::WaitForExit(Connection& connection, ProcessKey key,
                             std::uint64_t request, bool exit_frame) {
  exit_waiters_[key].push_back({connection.id(), request, exit_frame, false});
  connection.waits_on.insert(key);
}

Result<void> Dispatcher::HandleWait(Connection& connection,
                                    Connection::Frame& frame) {
  auto request = frame.message->Decode<protocol::Wait>();
  if (!request) return request.error();
  auto found = supervisor_.Find(request->worker);
  if (!found) return found.error();
  const std::uint64_t id = frame.message->envelope().id;
  if (found->record != nullptr) {
    Reply(connection, id, protocol::ExitReply{*found->record});
  } else {
    WaitForExit(connection, found->key, id, false);
  }
  return {};
}

Result<void> Dispatcher::HandleSignal(Connection& connection,
                                      Connection::Frame& frame) {
  auto request = frame.message->Decode<protocol::Signal>();
  if (!request) return request.error();
  if (auto sent =
          supervisor_.Signal(request->worker, request->signal, request->group);
      !sent) {
    return sent.error();
  }
  Reply(connection, frame.message->envelope().id, protocol::Done{});
  return {};
}

Result<void> Dispatcher::HandleStop(Connection& connection,
                                    Connection::Frame& frame) {
  auto request = frame.message->Decode<protocol::Stop>();
  if (!request) return request.error();
  auto found = supervisor_.Stop(request->worker, request->grace_ms);
  if (!found) return found.error();
  const std::uint64_t id = frame.message->envelope().id;
  if (found->record != nullptr) {
    Reply(connection, id, protocol::ExitReply{*found->record});
  } else {
    WaitForExit(connection, found->key, id, false);
  }
  return {};
}

Result<void> Dispatcher::HandleList(Connection& connection,
                                    Connection::Frame& frame) {
  Reply(connection, frame.message->envelope().id, TakeSnapshot());
  return {};
}

Result<void> Dispatcher::HandleStatus(Connection& connection,
                                      Connection::Frame& frame) {
  DaemonStatus status;
  status.pid = ::getpid();
  status.version = options_.version;
  status.protocol = connection.protocol;
  status.socket = options_.socket_path;
  status.threads = CountThreads();
  status.uptime_ms = (MonotonicNanoseconds() - started_ns_) / 1'000'000;
  status.clients = static_cast<std::int64_t>(connections_.size());
  status.open_fds = CountOpenFds();
  status.log = options_.log_path;
  status.upgrades = options_.upgrades;
  supervisor_.FillStatus(status);
  Reply(connection, frame.message->envelope().id, status);
  return {};
}

Result<void> Dispatcher::HandleSubscribe(Connection& connection,
                                         Connection::Frame& frame) {
  const std::uint64_t id = frame.message->envelope().id;
  if (connection.subscriptions.size() >= kMaxSubscriptions) {
    return MakeError(error_code::kLimitReached,
                     "a connection can have " +
                         std::to_string(kMaxSubscriptions) + " subscriptions");
  }
  if (connection.subscriptions.empty()) ++subscribers_;
  connection.subscriptions.insert(id);
  Reply(connection, id, TakeSnapshot());
  return {};
}

Result<void> Dispatcher::HandleShutdown(Connection& connection,
                                        Connection::Frame& frame) {
  Log(LogLevel::kInfo, "client " + std::to_string(connection.id()) + " (pid " +
                           std::to_string(connection.pid()) +
                           ") asks for a shutdown");
  Reply(connection, frame.message->envelope().id, protocol::Done{});
  options_.on_shutdown();
  return {};
}

Result<void> Dispatcher::HandleUpgrade(Connection& connection,
                                       Connection::Frame& frame) {
  auto request = frame.message->Decode<protocol::Upgrade>();
  if (!request) return request.error();
  Log(LogLevel::kInfo, "client " + std::to_string(connection.id()) + " (pid " +
                           std::to_string(connection.pid()) +
                           ") asks for an upgrade");
  if (auto begun = options_.on_upgrade(request->program); !begun) return begun;
  Waiter waiter;
  waiter.owner = connection.id();
  waiter.request = frame.message->envelope().id;
  upgrade_waiter_ = waiter;
  return {};
}

void Dispatcher::AnswerUpgrade(const Result<protocol::UpgradeReply>& outcome) {
  if (!upgrade_waiter_) return;
  const Waiter waiter = *std::exchange(upgrade_waiter_, std::nullopt);
  Connection* const connection = Find(waiter.owner);
  if (connection == nullptr) return;
  if (outcome) {
    Reply(*connection, waiter.request, *outcome);
  } else {
    connection->Reply(protocol::EncodeError(waiter.request, outcome.error()));
    MarkDirty(*connection);
  }
}

}  // namespace forkserver::server
