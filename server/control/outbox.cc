#include "server/control/outbox.h"

#include <cerrno>
#include <utility>

#include "sdk/base/unix_socket.h"

namespace forkserver::server {
namespace {

// Small frames share one send.
constexpr std::size_t kJoinBytes = 16 * 1024;

}  // namespace

void Outbox::AddReply(std::string frame) {
  reply_bytes_ += frame.size();
  const bool joins = !frames_.empty() && !frames_.back().event &&
                     frames_.back().bytes.size() + frame.size() < kJoinBytes;
  if (joins) {
    frames_.back().bytes += frame;
  } else {
    frames_.push_back({std::move(frame), false});
  }
}

bool Outbox::AddEvent(std::string frame) {
  if (overrun_) return false;
  if (event_bytes_ + frame.size() > kMaxEventBytes) {
    overrun_ = true;
    DropUnbegunEvents();
    return false;
  }
  event_bytes_ += frame.size();
  frames_.push_back({std::move(frame), true});
  return true;
}

void Outbox::DropUnbegunEvents() {
  std::deque<Frame> kept;
  event_bytes_ = 0;
  for (std::size_t i = 0; i < frames_.size(); ++i) {
    const bool begun = i == 0 && sent_ > 0;
    if (frames_[i].event && !begun) continue;
    if (frames_[i].event) event_bytes_ += frames_[i].bytes.size() - sent_;
    kept.push_back(std::move(frames_[i]));
  }
  frames_ = std::move(kept);
}

Outbox::Status Outbox::Flush(int socket) {
  while (!frames_.empty()) {
    const Frame& frame = frames_.front();
    const long sent = SendWithFds(socket, frame.bytes.data() + sent_,
                                  frame.bytes.size() - sent_, nullptr, 0);
    if (sent == -EAGAIN || sent == -EWOULDBLOCK) return Status::kBlocked;
    if (sent < 0) return Status::kBroken;
    const auto size = static_cast<std::size_t>(sent);
    (frame.event ? event_bytes_ : reply_bytes_) -= size;
    sent_ += size;
    if (sent_ < frame.bytes.size()) continue;
    frames_.pop_front();
    sent_ = 0;
  }
  return Status::kEmpty;
}

std::vector<protocol::HandedFrame> Outbox::WriteDown() const {
  std::vector<protocol::HandedFrame> handed;
  for (const Frame& frame : frames_) {
    protocol::HandedFrame& one = handed.emplace_back();
    one.bytes.data = frame.bytes;
    one.event = frame.event;
  }
  if (!handed.empty()) handed.front().sent = static_cast<std::int64_t>(sent_);
  return handed;
}

void Outbox::Resume(std::vector<protocol::HandedFrame> frames, bool overrun) {
  overrun_ = overrun;
  for (protocol::HandedFrame& frame : frames) {
    const auto sent = static_cast<std::size_t>(frame.sent);
    if (frames_.empty()) sent_ = sent;
    (frame.event ? event_bytes_ : reply_bytes_) +=
        frame.bytes.data.size() - sent;
    frames_.push_back({std::move(frame.bytes.data), frame.event});
  }
}

bool Outbox::TakeOverrun() {
  return frames_.empty() && std::exchange(overrun_, false);
}

}  // namespace forkserver::server
