#include "sdk/cpp/connection.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "sdk/base/unix_socket.h"
#include "sdk/process/platform.h"

namespace forkserver {
namespace {

// poll(2), restarted by its callers; 0 descriptors ready after a signal.
Result<void> Poll(pollfd* fds, nfds_t count, int timeout_ms) {
  if (::poll(fds, count, timeout_ms) >= 0) return {};
  if (errno != EINTR) return SystemError("poll()", errno);
  for (nfds_t i = 0; i < count; ++i) fds[i].revents = 0;
  return {};
}

// A socket file in a folder that others can write to could be anybody's, and
// the first request carries the whole environment.
Result<void> CheckServer(int socket, const std::string& socket_path) {
  Result<Peer> peer = ReadPeer(socket);
  if (!peer) return peer.error();
  if (peer->uid == ::geteuid()) return {};
  return MakeError(error_code::kPeerRefused,
                   "the daemon at " + socket_path + " belongs to user " +
                       std::to_string(peer->uid) + ", not to " +
                       std::to_string(::geteuid()),
                   "choose another socket with FORKSERVER_SOCKET");
}

}  // namespace

Connection::Connection(UniqueFd socket, std::string socket_path)
    : socket_(std::move(socket)),
      socket_path_(std::move(socket_path)),
      reader_(protocol::kMaxReplyBytes) {}

Result<std::unique_ptr<Connection>> Connection::Open(
    UniqueFd socket, const std::string& socket_path,
    const std::string& client_name, const Deadline& deadline) {
  if (auto checked = CheckServer(socket.get(), socket_path); !checked) {
    return checked.error();
  }
  SetNonBlocking(socket.get());
  std::unique_ptr<Connection> connection(
      new Connection(std::move(socket), socket_path));
  if (auto greeted = connection->SayHello(client_name, deadline); !greeted) {
    return greeted.error();
  }
  return connection;
}

Result<void> Connection::SayHello(const std::string& client_name,
                                  const Deadline& deadline) {
  protocol::Hello hello;
  hello.client = client_name;
  std::optional<Result<protocol::HelloReply>> reply;
  auto sent = Request(hello, {}, Answers::kOne, [&reply](const Answer& answer) {
    reply = DecodeAnswer<protocol::HelloReply>(answer);
  });
  // A daemon that refuses this peer may say so and close before it reads:
  // what it said is the better error.
  while (sent && !reply) {
    Result<bool> readable = AwaitReadable(deadline);
    if (!readable) return readable.error();
    if (!*readable) {
      return MakeError(error_code::kTimeout,
                       "the daemon at " + socket_path_ +
                           " does not answer: it is stopped or very busy",
                       "look at it with `ps`; end it to have a new one");
    }
    (void)ReadAvailable();
  }
  if (farewell_ && (!sent || !*reply)) return *farewell_;
  if (!sent) return sent.error();
  if (!*reply) return reply->error();
  const std::int64_t protocol = (*reply)->protocol;
  if (protocol < protocol::kMinProtocol || protocol > protocol::kMaxProtocol) {
    return MakeError(error_code::kVersionMismatch,
                     "the daemon chose protocol " + std::to_string(protocol) +
                         ", which was not offered");
  }
  daemon_version_ = std::move((*reply)->version);
  return {};
}

Result<void> Connection::Send(std::uint64_t id, const std::string& frame,
                              const std::vector<int>& fds, Pending pending) {
  if (lost()) {
    return LossError(std::string("an answer to ") + pending.request);
  }
  if (fds.size() > protocol::kMaxFds) {
    return MakeError(error_code::kTooManyDescriptors,
                     "one request can carry " +
                         std::to_string(protocol::kMaxFds) +
                         " descriptors, not " + std::to_string(fds.size()));
  }
  const std::size_t payload = frame.size() - protocol::kFrameHeaderBytes;
  if (payload > protocol::kMaxFrameBytes) {
    return MakeError(error_code::kFrameTooLarge,
                     std::string("the request ") + pending.request + " has " +
                         std::to_string(payload) + " bytes, the limit is " +
                         std::to_string(protocol::kMaxFrameBytes),
                     "pass large data through a descriptor");
  }
  // Before sending: the answer may be read while the rest is still sent.
  pending_.emplace(id, std::move(pending));
  std::size_t sent = 0;
  while (sent < frame.size()) {
    const std::size_t fd_count = sent == 0 ? fds.size() : 0;
    const long size = SendWithFds(socket_.get(), frame.data() + sent,
                                  frame.size() - sent, fds.data(), fd_count);
    if (size >= 0) {
      sent += static_cast<std::size_t>(size);
      continue;
    }
    if (size == -EAGAIN || size == -EWOULDBLOCK) {
      auto ready = AwaitWritable();
      if (!ready) Lose(ready.error().message);
      if (lost()) return {};
      continue;
    }
    const int error_number = static_cast<int>(-size);
    const bool closed = error_number == EPIPE || error_number == ECONNRESET;
    if (sent == 0 && !closed) {
      pending_.erase(id);
      return SystemError("sendmsg(" + socket_path_ + ")", error_number);
    }
    // What the daemon said before it closed can still be read, and is a
    // better error.
    for (bool progress = closed; progress;) (void)ReadAvailable(&progress);
    Lose(std::string("sendmsg(): ") + std::strerror(error_number));
    return {};
  }
  return {};
}

Result<void> Connection::AwaitWritable() {
  pollfd poll_fd = {socket_.get(), POLLIN | POLLOUT, 0};
  if (auto polled = Poll(&poll_fd, 1, -1); !polled) return polled.error();
  if ((poll_fd.revents & ~POLLOUT) != 0) return ReadAvailable();
  return {};
}

Result<bool> Connection::AwaitReadable(const Deadline& deadline, int other_fd) {
  if (lost()) return LossError("an answer");
  while (true) {
    pollfd fds[2] = {{socket_.get(), POLLIN, 0}, {other_fd, POLLIN, 0}};
    auto polled = Poll(fds, other_fd >= 0 ? 2 : 1, deadline.PollTimeout());
    if (!polled) return polled.error();
    if (fds[0].revents != 0 || fds[1].revents != 0) return true;
    if (deadline.Passed()) return false;
  }
}

Result<void> Connection::ReadAvailable(bool* progress) {
  if (progress != nullptr) *progress = false;
  if (lost()) return LossError("an answer");
  auto status = reader_.Receive(socket_.get());
  if (!status) {
    Lose(status.error().message);
    return LossError("an answer");
  }
  if (*status == protocol::FrameReader::Status::kWouldBlock) return {};
  if (*status == protocol::FrameReader::Status::kClosed) {
    Lose("the daemon closed it or ended");
    return LossError("an answer");
  }
  if (progress != nullptr) *progress = true;
  // No message of protocol 1 brings descriptors to a client.
  (void)reader_.TakeFds(reader_.fds_available());
  while (true) {
    auto payload = reader_.Next();
    if (payload && !payload->has_value()) return {};
    auto dispatched =
        payload ? Dispatch(**payload) : Result<void>(payload.error());
    if (!dispatched) {
      Lose(dispatched.error().message);
      return LossError("an answer");
    }
  }
}

Result<void> Connection::Dispatch(std::string_view payload) {
  auto message = protocol::Message::Parse(payload);
  if (!message) return message.error();
  const protocol::Envelope& envelope = message->envelope();
  const bool failed = envelope.type == protocol::frame_type::kError;
  Answer answer(&*message);
  if (failed) {
    auto error = message->Decode<protocol::WireError>();
    answer = error ? protocol::FromWire(*std::move(error)) : error.error();
  }
  const auto found = pending_.find(envelope.id);
  if (found == pending_.end()) {
    if (failed && envelope.id == 0) farewell_ = answer.error();
    return {};
  }
  const Answers answers = found->second.answers;
  const bool last = failed || answers == Answers::kOne ||
                    (answers == Answers::kUntilExit &&
                     envelope.type == protocol::frame_type::kExit);
  if (last) {
    const Pending pending = std::move(found->second);
    pending_.erase(found);
    pending.handler(answer);
  } else {
    found->second.handler(answer);
  }
  return {};
}

void Connection::Lose(std::string cause) {
  if (lost()) return;
  if (farewell_) cause = farewell_->message + " [" + farewell_->code + "]";
  loss_ = std::move(cause);
  const auto pending = std::exchange(pending_, {});
  for (const auto& [id, each] : pending) {
    each.handler(LossError(std::string("an answer to ") + each.request));
  }
}

Error Connection::LossError(const std::string& awaited) const {
  return MakeError(error_code::kConnectionLost,
                   "the connection to forkserverd at " + socket_path_ +
                       " was lost while waiting for " + awaited + ": " +
                       loss_.value_or("unknown"),
                   "connect again; the daemon's log may say more");
}

}  // namespace forkserver
