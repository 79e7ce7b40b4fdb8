#include "server/control/connection.h"

#include <utility>

#include "sdk/protocol/messages.h"

namespace forkserver::server {
namespace {

using protocol::FrameReader;
using protocol::Message;

Error BadDescriptors(std::uint64_t announced, std::size_t sent) {
  return MakeError(
      error_code::kBadDescriptor,
      "the frame announces " + std::to_string(announced) + " descriptors and " +
          std::to_string(sent) + " came with it",
      "'fds' is the number of descriptors that ride with the frame's first "
      "byte");
}

}  // namespace

Connection::Connection(OwnerId id, pid_t pid, UniqueFd socket, UniqueFd process)
    : id_(id),
      pid_(pid),
      socket_(std::move(socket)),
      process_(std::move(process)),
      reader_(protocol::kMaxFrameBytes) {}

Connection::Connection(protocol::HandedConnection handed)
    : protocol(handed.protocol),
      client(std::move(handed.client)),
      closing(handed.closing),
      id_(static_cast<OwnerId>(handed.id)),
      pid_(static_cast<pid_t>(handed.pid)),
      socket_(TakeHanded(handed.socket)),
      process_(TakeHanded(handed.process)),
      reader_(protocol::kMaxFrameBytes) {
  for (const std::int64_t request : handed.subscriptions) {
    subscriptions.insert(static_cast<std::uint64_t>(request));
  }
  for (const std::int64_t key : handed.waits_on) {
    waits_on.insert(static_cast<ProcessKey>(key));
  }
  TakeHanded(handed.reader, reader_);
  outbox_.Resume(std::move(handed.outgoing), handed.overrun);
}

protocol::HandedConnection Connection::WriteDown(HandedFds& fds) const {
  protocol::HandedConnection handed;
  handed.id = static_cast<std::int64_t>(id_);
  handed.pid = pid_;
  handed.socket = fds.Add(socket_);
  handed.process = fds.Add(process_);
  handed.reader = fds.Add(reader_);
  handed.outgoing = outbox_.WriteDown();
  handed.overrun = outbox_.overrun();
  handed.protocol = protocol;
  handed.client = client;
  handed.subscriptions.assign(subscriptions.begin(), subscriptions.end());
  handed.waits_on.assign(waits_on.begin(), waits_on.end());
  handed.closing = closing;
  return handed;
}

bool Connection::Receive() {
  const auto status = reader_.Receive(socket_.get());
  if (!status || *status == FrameReader::Status::kClosed) return false;
  if (reader_.fds_available() > 2 * protocol::kMaxFds) {
    // A frame can use no more than half of these: do not collect them.
    closing = true;
    Reply(protocol::EncodeError(
        0, MakeError(error_code::kTooManyDescriptors,
                     "more than " + std::to_string(protocol::kMaxFds) +
                         " descriptors came with one frame",
                     "pass at most that many")));
    return false;
  }
  return true;
}

std::optional<Connection::Frame> Connection::NextFrame() {
  while (!closing) {
    auto payload = reader_.Next();
    if (!payload) {
      // Where the next frame begins is lost with this one.
      closing = true;
      Reply(protocol::EncodeError(0, payload.error()));
      break;
    }
    if (!payload->has_value()) break;
    Frame frame{Message::Parse(**payload), {}};
    if (!frame.message) {
      // Nothing says whose they are.
      reader_.TakeFdsLost();
      if (reader_.at_boundary()) reader_.TakeFds(reader_.fds_available());
      return frame;
    }
    const protocol::Envelope& envelope = frame.message->envelope();
    const std::size_t available = reader_.fds_available();
    if (auto checked = CheckDescriptors(envelope.fds, available); !checked) {
      reader_.TakeFds(reader_.at_boundary() ? available : envelope.fds);
      Reply(protocol::EncodeError(envelope.id, checked.error()));
      continue;
    }
    frame.fds = reader_.TakeFds(envelope.fds);
    return frame;
  }
  return std::nullopt;
}

Result<void> Connection::CheckDescriptors(std::uint64_t announced,
                                          std::size_t available) {
  if (reader_.TakeFdsLost()) {
    return MakeError(error_code::kDescriptorLimit,
                     "forkserverd has no room for the descriptors of this "
                     "request",
                     "its limit of open files is reached; wait for workers "
                     "to end, or raise the hard limit");
  }
  if (announced > protocol::kMaxFds) {
    return MakeError(error_code::kTooManyDescriptors,
                     "the frame announces " + std::to_string(announced) +
                         " descriptors, the limit is " +
                         std::to_string(protocol::kMaxFds));
  }
  if (announced > available ||
      (announced < available && reader_.at_boundary())) {
    return BadDescriptors(announced, available);
  }
  return {};
}

}  // namespace forkserver::server
