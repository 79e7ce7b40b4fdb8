#include "tests/unit/sdk_cpp/fake_daemon.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstdlib>
#include <utility>

#include "sdk/base/unix_socket.h"

namespace forkserver::test {

FakePeer::FakePeer(UniqueFd socket)
    : socket_(std::move(socket)), reader_(protocol::kMaxFrameBytes) {}

std::optional<protocol::Message> FakePeer::Next() {
  while (true) {
    auto payload = reader_.Next();
    if (!payload) std::abort();
    if (*payload) {
      auto message = protocol::Message::Parse(**payload);
      if (!message) std::abort();
      id_ = message->envelope().id;
      fds_ = reader_.TakeFds(message->envelope().fds);
      return *std::move(message);
    }
    auto status = reader_.Receive(socket_.get());
    if (!status) std::abort();
    if (*status == protocol::FrameReader::Status::kClosed) return std::nullopt;
  }
}

void FakePeer::Greet() {
  Expect<protocol::Hello>();
  protocol::HelloReply reply;
  reply.protocol = protocol::kMaxProtocol;
  reply.version = "fake";
  reply.instance = "f";
  Reply(reply);
}

void FakePeer::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const long sent =
        SendWithFds(socket_.get(), bytes.data(), bytes.size(), nullptr, 0);
    if (sent < 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

FakeDaemon::FakeDaemon(std::function<void(FakePeer&)> script) {
  auto listener = ListenUnixSocket(folder_ / "s", 8);
  REQUIRE(listener);
  listener_ = *std::move(listener);
  thread_ = std::thread([this, script = std::move(script)] {
    pollfd waiting = {listener_.get(), POLLIN, 0};
    if (::poll(&waiting, 1, 30'000) != 1) return;
    UniqueFd socket(::accept(listener_.get(), nullptr, nullptr));
    // macOS: an accepted socket inherits O_NONBLOCK of the listener.
    ::fcntl(socket.get(), F_SETFL, 0);
    SetCloseOnExec(socket.get());
    FakePeer peer(std::move(socket));
    script(peer);
  });
}

FakeDaemon::~FakeDaemon() { thread_.join(); }

Result<Client> FakeDaemon::Connect() {
  ConnectOptions options;
  options.socket_path = folder_ / "s";
  options.start_daemon = false;
  return Client::Connect(options);
}

WorkerInfo RunningWorker(const std::string& id) {
  WorkerInfo worker;
  worker.id = id;
  worker.pid = 4711;
  worker.state = WorkerState::kRunning;
  return worker;
}

ExitRecord RecordOf(const std::string& id, int code) {
  ExitRecord record;
  record.id = id;
  record.code = code;
  record.reason = EndReason::kExited;
  return record;
}

}  // namespace forkserver::test
