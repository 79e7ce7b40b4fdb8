// One client: its socket, what it has sent, what waits for it. Mechanism only;
// what the frames mean is the dispatcher's business.
#pragma once

#include <forkserver/result.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/protocol/codec.h"
#include "sdk/protocol/framing.h"
#include "sdk/protocol/upgrade_messages.h"
#include "server/control/outbox.h"
#include "server/event_loop/loop.h"
#include "server/handed_fds.h"
#include "server/supervisor/supervisor_event.h"

namespace forkserver::server {

class Connection {
 public:
  // One whole frame and its descriptors.
  struct Frame {
    // The message, or why it is none.
    Result<protocol::Message> message;
    std::vector<UniqueFd> fds;
  };

  // `socket` is connected and non-blocking. `process`: a descriptor of the
  // process that connected, or invalid.
  Connection(OwnerId id, pid_t pid, UniqueFd socket, UniqueFd process);

  OwnerId id() const { return id_; }
  pid_t pid() const { return pid_; }
  int socket() const { return socket_.get(); }
  int process_fd() const { return process_.get(); }

  // Of the program that this one replaces.
  explicit Connection(protocol::HandedConnection handed);
  protocol::HandedConnection WriteDown(HandedFds& fds) const;

  // Reads what has arrived, once. False: the client is gone, or broke the
  // framing (an error reply is queued then and the connection should close).
  bool Receive();
  // The next whole frame, or nullopt. Replies to those whose descriptors are
  // wrong by itself: look at the outbox afterwards.
  std::optional<Frame> NextFrame();

  void Reply(std::string frame) { outbox_.AddReply(std::move(frame)); }
  Outbox& outbox() { return outbox_; }

  // Negotiated; 0 before hello.
  std::int64_t protocol = 0;
  std::string client;
  // The ids of its subscribe requests.
  std::set<std::uint64_t> subscriptions;
  // The workers and zygotes whose waiters it has entries in.
  std::set<ProcessKey> waits_on;
  std::optional<FdWatcher> watcher;
  bool closing = false;  // flush, then close

 private:
  // The descriptors of the frame at hand.
  Result<void> CheckDescriptors(std::uint64_t announced, std::size_t available);

  OwnerId id_;
  pid_t pid_;
  UniqueFd socket_;
  UniqueFd process_;
  protocol::FrameReader reader_;
  Outbox outbox_;
};

}  // namespace forkserver::server
