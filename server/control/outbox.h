// What waits to be sent to one client: replies and events in order, bounded.
// Never blocks. Borrows the socket.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include "sdk/protocol/upgrade_messages.h"

namespace forkserver::server {

class Outbox {
 public:
  // Unread replies beyond this: the client is stalled.
  static constexpr std::size_t kMaxReplyBytes = std::size_t{8} << 20;
  // Unread events beyond this are dropped and made good by a snapshot.
  static constexpr std::size_t kMaxEventBytes = std::size_t{1} << 20;

  void AddReply(std::string frame);
  // False when it was dropped, with every event that was not begun: the
  // subscriber is overrun and needs a snapshot when TakeOverrun says so.
  bool AddEvent(std::string frame);

  enum class Status { kEmpty, kBlocked, kBroken };
  // Sends what the socket takes.
  Status Flush(int socket);

  bool empty() const { return frames_.empty(); }
  bool stalled() const { return reply_bytes_ > kMaxReplyBytes; }
  // For another outbox of the same stream, that goes on where this one is.
  std::vector<protocol::HandedFrame> WriteDown() const;
  bool overrun() const { return overrun_; }
  void Resume(std::vector<protocol::HandedFrame> frames, bool overrun);

  // True once after an overrun, when there is room for a snapshot again.
  bool TakeOverrun();

 private:
  struct Frame {
    std::string bytes;
    bool event = false;
  };
  void DropUnbegunEvents();

  std::deque<Frame> frames_;
  std::size_t sent_ = 0;  // of the first
  std::size_t reply_bytes_ = 0;
  std::size_t event_bytes_ = 0;
  bool overrun_ = false;
};

}  // namespace forkserver::server
