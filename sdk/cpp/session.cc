#include "sdk/cpp/session.h"

#include <cstdint>
#include <utility>

namespace forkserver {

Session::Session(std::unique_ptr<Connection> connection)
    : connection_(std::move(connection)),
      daemon_version_(connection_->daemon_version()) {}

void Session::RunCallbacks() {
  if (in_callback_) return;
  in_callback_ = true;
  while (!callbacks_.empty()) {
    const auto callback = std::move(callbacks_.front());
    callbacks_.pop_front();
    callback();
  }
  in_callback_ = false;
}

Result<void> Session::Process() {
  // Bounded, so that a daemon that sends without end does not keep the
  // caller: the descriptor stays readable.
  constexpr int kMaxReads = 64;
  Result<void> outcome;
  bool progress = true;
  for (int i = 0; i < kMaxReads && progress && outcome; ++i) {
    outcome = connection_->ReadAvailable(&progress);
  }
  RunCallbacks();
  return outcome;
}

Result<Session::Prepared<protocol::ZygoteStart>> Session::PrepareZygoteStart(
    const ZygoteOptions& options) {
  if (options.parent.empty()) {
    if (auto checked = CheckProgram(options.argv); !checked) {
      return checked.error();
    }
  }
  Result<PreparedSetup> prepared = PrepareSetup(options, options.argv);
  if (!prepared) return prepared.error();
  Prepared<protocol::ZygoteStart> result;
  protocol::ZygoteStart& request = result.request;
  request.name = options.name;
  request.setup.data = protocol::EncodeBody(prepared->setup);
  request.preload = options.preload;
  request.parent = options.parent;
  request.binary = FingerprintProgram(prepared->setup);
  request.freeze = options.freeze;
  request.keep = options.keep;
  request.replace = options.replace;
  request.audit_policy = options.audit_policy;
  request.entry_deadline_ms = options.entry_deadline.count();
  request.grace_ms = options.grace.count();
  request.spares_min = options.spares_min;
  request.spares_max = options.spares_max;
  request.project = options.project;
  result.fds = std::move(prepared->fds);
  return result;
}

Result<ZygoteInfo> Session::StartZygote(const ZygoteOptions& options) {
  auto prepared = PrepareZygoteStart(options);
  if (!prepared) return prepared.error();
  auto reply = Ask<protocol::ZygoteReply>(prepared->request, prepared->fds);
  if (!reply) return reply.error();
  return std::move(reply->zygote);
}

Result<std::string> Session::CompareZygote(const ZygoteOptions& options) {
  auto prepared = PrepareZygoteStart(options);
  if (!prepared) return prepared.error();
  prepared->request.compare = true;
  auto reply = Ask<protocol::ZygoteReply>(prepared->request, prepared->fds);
  if (!reply) return reply.error();
  return std::move(reply->difference);
}

Result<void> Session::StopZygote(const std::string& name) {
  auto done = Ask<protocol::Done>(protocol::ZygoteStop{name});
  return done ? Result<void>() : done.error();
}

Result<void> Session::Signal(const std::string& worker_id, int signal,
                             bool group) {
  auto done = Ask<protocol::Done>(protocol::Signal{worker_id, signal, group});
  return done ? Result<void>() : done.error();
}

Result<Snapshot> Session::List() { return Ask<Snapshot>(protocol::List()); }

Result<DaemonStatus> Session::Status() {
  return Ask<DaemonStatus>(protocol::Status());
}

Result<void> Session::Shutdown() {
  auto done = Ask<protocol::Done>(protocol::Shutdown());
  return done ? Result<void>() : done.error();
}

Result<DaemonUpgrade> Session::Upgrade(const std::string& program) {
  protocol::Upgrade request;
  if (!program.empty()) {
    auto path = AbsolutePath("program", program);
    if (!path) return path.error();
    request.program = *std::move(path);
  }
  auto upgrade = Ask<protocol::UpgradeReply>(request);
  if (upgrade) daemon_version_ = upgrade->version;
  return upgrade;
}

Result<Snapshot> Session::Subscribe(
    std::function<void(const Event&)> on_event) {
  const auto slot = std::make_shared<std::optional<Result<Snapshot>>>();
  auto handler = [this, slot, on_event = std::move(on_event)](
                     const Connection::Answer& answer) {
    if (!slot->has_value()) {
      *slot = DecodeAnswer<Snapshot>(answer);
      return;
    }
    // The end of the subscription with the connection is told by Process().
    auto event = DecodeAnswer<Event>(answer);
    if (!event) return;
    callbacks_.push_back(
        [on_event, event = *std::move(event)] { on_event(event); });
  };
  auto sent =
      connection_->Request(protocol::Subscribe(), {},
                           Connection::Answers::kForever, std::move(handler));
  if (!sent) return sent.error();
  auto pumped = PumpUntil([&slot] { return slot->has_value(); });
  if (!pumped) return pumped.error();
  return **slot;
}

}  // namespace forkserver
