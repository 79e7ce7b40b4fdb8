// A daemon that follows a script: for what a real one would do only rarely.
#ifndef TESTS_UNIT_SDK_CPP_FAKE_DAEMON_H_
#define TESTS_UNIT_SDK_CPP_FAKE_DAEMON_H_

#include <forkserver/client.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/protocol/codec.h"
#include "sdk/protocol/framing.h"
#include "tests/unit/sdk_cpp/scoped_test_state.h"

namespace forkserver::test {

// The daemon's end of one connection; blocking.
class FakePeer {
 public:
  explicit FakePeer(UniqueFd socket);

  // The next request, or nullopt at the end of the connection. Valid until
  // the next call. `fds` are those that came with it.
  std::optional<protocol::Message> Next();
  // The next request, of type Body::kType and with that body; its id is
  // id(). Anything else aborts.
  template <typename Body>
  Body Expect() {
    auto message = Next();
    if (!message || message->envelope().type != Body::kType) std::abort();
    auto body = message->template Decode<Body>();
    if (!body) std::abort();
    return *std::move(body);
  }
  // Reads hello and answers it.
  void Greet();
  std::uint64_t id() const { return id_; }
  std::vector<UniqueFd>& fds() { return fds_; }

  template <typename Body>
  void Reply(const Body& body) {
    Send(protocol::EncodeReply(id_, body));
  }
  template <typename Body>
  void Send(const char* type, std::uint64_t id, const Body& body) {
    Send(protocol::EncodeFrame({type, id, 0}, body));
  }
  // All of it; gives up silently when the client is gone.
  void Send(std::string_view bytes);

 private:
  UniqueFd socket_;
  protocol::FrameReader reader_;
  std::uint64_t id_ = 0;
  std::vector<UniqueFd> fds_;
};

// Accepts one connection in a thread of its own and runs the script on it.
class FakeDaemon {
 public:
  explicit FakeDaemon(std::function<void(FakePeer&)> script);
  // Waits for the end of the script.
  ~FakeDaemon();

  // A client that never starts a daemon.
  Result<Client> Connect();

 private:
  TemporaryFolder folder_;
  UniqueFd listener_;
  std::thread thread_;
};

WorkerInfo RunningWorker(const std::string& id);
ExitRecord RecordOf(const std::string& id, int code);

}  // namespace forkserver::test

#endif  // TESTS_UNIT_SDK_CPP_FAKE_DAEMON_H_
