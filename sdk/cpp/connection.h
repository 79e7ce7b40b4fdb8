// Connection: one socket to the daemon, and the requests on it that are not
// answered yet.
//
// Passive: it reads only inside its calls, starts no thread and runs no code
// of the user. Blocks only in Open, Request (while the daemon does not read)
// and AwaitReadable. Not thread-safe, and useless in a forked child.
#pragma once

#include <forkserver/result.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/cpp/deadline.h"
#include "sdk/cpp/fork_guard.h"
#include "sdk/protocol/codec.h"
#include "sdk/protocol/framing.h"
#include "sdk/protocol/messages.h"

namespace forkserver {

class Connection {
 public:
  // How many answers a request has. An error is always the last one.
  enum class Answers {
    kOne,
    kUntilExit,  // the last one is the first of type "exit"
    kForever,
  };
  // A message that refers to memory of the connection, the daemon's error, or
  // "connection_lost". Called from Request and ReadAvailable; must not call
  // the connection.
  using Answer = Result<const protocol::Message*>;
  using Handler = std::function<void(const Answer&)>;

  // Takes a connected socket and says hello. Errors: "timeout",
  // "connection_lost", "version_mismatch", "peer_refused" (the daemon is not
  // this user's), and what the daemon answers.
  static Result<std::unique_ptr<Connection>> Open(
      UniqueFd socket, const std::string& socket_path,
      const std::string& client_name, const Deadline& deadline);

  // Sends the request; `fds` are borrowed until it returns. On an error
  // nothing was sent and the handler is never called; otherwise it is, if only
  // with "connection_lost". Reads answers while the daemon's side is full, so
  // that two full directions cannot lock each other.
  template <typename Body>
  Result<void> Request(const Body& body, const std::vector<int>& fds,
                       Answers answers, Handler handler) {
    const std::uint64_t id = ++last_id_;
    return Send(id, protocol::EncodeRequest(id, fds.size(), body), fds,
                {Body::kType, answers, std::move(handler)});
  }

  // Waits for something to read; true when there is. With `other_fd` >= 0
  // also returns true when that is readable. False: the deadline passed.
  Result<bool> AwaitReadable(const Deadline& deadline, int other_fd = -1);

  // One read, without blocking, and the handlers of what it completed.
  // `progress` (may be nullptr) tells whether there was anything. Error
  // "connection_lost", now and ever after.
  Result<void> ReadAvailable(bool* progress = nullptr);

  int fd() const { return socket_.get(); }
  // Of the daemon that answered the hello.
  const std::string& daemon_version() const { return daemon_version_; }
  bool lost() const { return loss_.has_value(); }
  // "connection_lost"; `awaited` completes "... while waiting for ".
  Error LossError(const std::string& awaited) const;

 private:
  struct Pending {
    const char* request = "";
    Answers answers = Answers::kOne;
    Handler handler;
  };

  Connection(UniqueFd socket, std::string socket_path);
  Result<void> SayHello(const std::string& client_name,
                        const Deadline& deadline);
  Result<void> Send(std::uint64_t id, const std::string& frame,
                    const std::vector<int>& fds, Pending pending);
  Result<void> AwaitWritable();
  // Error: the stream cannot be understood any further.
  Result<void> Dispatch(std::string_view payload);
  void Lose(std::string cause);

  ForkGuardedFd socket_;
  std::string socket_path_;
  std::string daemon_version_;
  protocol::FrameReader reader_;
  std::uint64_t last_id_ = 0;
  std::unordered_map<std::uint64_t, Pending> pending_;
  std::optional<std::string> loss_;  // the cause
  // An error that belongs to no request, which the daemon sends before it
  // closes a connection.
  std::optional<Error> farewell_;
};

// The answer as a body of type `Body`, or the error.
template <typename Body>
Result<Body> DecodeAnswer(const Connection::Answer& answer) {
  if (!answer) return answer.error();
  return (*answer)->template Decode<Body>();
}

}  // namespace forkserver
