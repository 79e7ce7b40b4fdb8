#include "server/launch/zygote_channel.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "sdk/base/unix_socket.h"
#include "sdk/protocol/messages.h"

namespace forkserver::server {
namespace {

constexpr std::size_t kStderrTailBytes = 4096;

}  // namespace

ZygoteChannel::ZygoteChannel(PollSet& poll_set, Tokens tokens, UniqueFd control,
                             UniqueFd report, UniqueFd standard_error)
    : poll_set_(poll_set),
      tokens_(tokens),
      control_(std::move(control)),
      report_(std::move(report)),
      standard_error_(std::move(standard_error)),
      control_reader_(protocol::kMaxFrameBytes),
      report_reader_(protocol::kMaxReportBytes) {
  const auto watch = [this](UniqueFd& fd, std::uint64_t token) {
    if (!fd) return;
    SetNonBlocking(fd.get());
    if (auto added = poll_set_.Add(fd.get(), token); !added) {
      fd.Reset();
      unwatched_ = added.error();
    }
  };
  watch(control_, tokens_.control);
  watch(report_, tokens_.report);
  watch(standard_error_, tokens_.standard_error);
}

ZygoteChannel::ZygoteChannel(PollSet& poll_set, Tokens tokens,
                             protocol::HandedChannel handed)
    : ZygoteChannel(poll_set, tokens, TakeHanded(handed.control),
                    TakeHanded(handed.report),
                    TakeHanded(handed.standard_error)) {
  TakeHanded(handed.control_reader, control_reader_);
  TakeHanded(handed.report_reader, report_reader_);
  stderr_tail_ = std::move(handed.stderr_tail.data);
  broken_ = handed.broken;
  for (protocol::HandedFrame& frame : handed.outgoing) {
    queued_bytes_ += frame.bytes.data.size();
    queued_fds_ += frame.fds.size();
    outgoing_.push_back({std::move(frame.bytes.data), TakeHanded(frame.fds),
                         static_cast<ProcessKey>(frame.key),
                         static_cast<std::size_t>(frame.sent)});
  }
  if (control_ && !outgoing_.empty()) {
    watching_writable_ = true;
    poll_set_.WatchWritable(control_.get(), tokens_.control, true);
  }
}

protocol::HandedChannel ZygoteChannel::WriteDown(HandedFds& fds) const {
  protocol::HandedChannel handed;
  handed.control = fds.Add(control_);
  handed.report = fds.Add(report_);
  handed.standard_error = fds.Add(standard_error_);
  handed.control_reader = fds.Add(control_reader_);
  handed.report_reader = fds.Add(report_reader_);
  for (const Outgoing& frame : outgoing_) {
    protocol::HandedFrame& one = handed.outgoing.emplace_back();
    one.bytes.data = frame.frame;
    one.sent = static_cast<std::int64_t>(frame.sent);
    one.fds = fds.Add(frame.fds);
    one.key = static_cast<std::int64_t>(frame.key);
  }
  handed.broken = broken_;
  handed.stderr_tail.data = stderr_tail_;
  return handed;
}

ZygoteChannel::~ZygoteChannel() {
  Close(control_);
  Close(report_);
  Close(standard_error_);
}

void ZygoteChannel::Close(UniqueFd& fd) {
  if (!fd) return;
  poll_set_.Remove(fd.get());
  fd.Reset();
}

void ZygoteChannel::KeepReportsOnly() {
  Close(control_);
  Close(standard_error_);
  outgoing_.clear();
}

void ZygoteChannel::Send(std::string frame, std::vector<UniqueFd> fds,
                         ProcessKey key) {
  // Its end is about to be told; whoever asked is answered then.
  if (!control_) return;
  queued_bytes_ += frame.size();
  queued_fds_ += fds.size();
  outgoing_.push_back({std::move(frame), std::move(fds), key, 0});
  if (outgoing_.size() == 1) Flush();
}

void ZygoteChannel::Flush() {
  while (control_ && !outgoing_.empty()) {
    Outgoing& next = outgoing_.front();
    std::vector<int> fds;
    if (next.sent == 0) {
      fds.reserve(next.fds.size());
      for (const UniqueFd& fd : next.fds) fds.push_back(fd.get());
    }
    const long sent =
        SendWithFds(control_.get(), next.frame.data() + next.sent,
                    next.frame.size() - next.sent, fds.data(), fds.size());
    if (sent == -EAGAIN || sent == -EWOULDBLOCK) break;
    if (sent < 0) {
      // A frame that nobody would be told the loss of is tried again: the
      // socket is writable, so the next wake-up comes at once.
      const bool gone = sent == -EPIPE || sent == -ECONNRESET;
      if (next.key == 0 && next.sent == 0 && !gone) break;
      if (gone || next.sent > 0) {
        broken_ = true;
        while (!outgoing_.empty()) PopOutgoing();
        break;
      }
      // ETOOMANYREFS, ENOBUFS, ENOMEM: this frame cannot go, others may.
      dropped_.push_back({next.key, static_cast<int>(-sent)});
      PopOutgoing();
      continue;
    }
    next.sent += static_cast<std::size_t>(sent);
    if (next.sent == next.frame.size()) PopOutgoing();
  }
  const bool want = !outgoing_.empty();
  if (control_ && want != watching_writable_) {
    watching_writable_ = want;
    poll_set_.WatchWritable(control_.get(), tokens_.control, want);
  }
}

void ZygoteChannel::PopOutgoing() {
  queued_bytes_ -= outgoing_.front().frame.size();
  queued_fds_ -= outgoing_.front().fds.size();
  outgoing_.pop_front();
}

Result<void> ZygoteChannel::Read(UniqueFd& fd, protocol::FrameReader& reader,
                                 bool is_socket, bool drain,
                                 const OnMessage& on_message) {
  while (fd) {
    auto status = reader.Receive(fd.get(), is_socket);
    if (!status) {
      Close(fd);
      return status.error();
    }
    if (*status == protocol::FrameReader::Status::kWouldBlock) return {};
    for (;;) {
      auto payload = reader.Next();
      if (!payload) return payload.error();
      if (!payload->has_value()) break;
      auto message = protocol::Message::Parse(**payload);
      if (!message) return message.error();
      on_message(
          *message,
          reader.TakeFds(static_cast<std::size_t>(std::min(
              message->envelope().fds, std::uint64_t{protocol::kMaxFds}))));
    }
    if (reader.TakeFdsLost() && !reader.at_boundary()) {
      return MakeError(error_code::kDescriptorLimit,
                       "descriptors of a zygote's message were lost");
    }
    // What nobody announced.
    if (reader.at_boundary()) reader.TakeFds(reader.fds_available());
    if (*status == protocol::FrameReader::Status::kClosed) Close(fd);
    // It is mostly empty now: spare the call that would say so.
    if (!drain && reader.at_boundary()) return {};
  }
  return {};
}

Result<void> ZygoteChannel::ReadControl(const OnMessage& on_message,
                                        bool drain) {
  return Read(control_, control_reader_, true, drain, on_message);
}

Result<void> ZygoteChannel::ReadReports(const OnMessage& on_message,
                                        bool drain) {
  return Read(report_, report_reader_, false, drain, on_message);
}

void ZygoteChannel::ReadStandardError() {
  char buffer[4096];
  // Bounded, so that a zygote that writes for ever holds nobody up.
  for (int i = 0; i < 16 && standard_error_; ++i) {
    const ssize_t size = ::read(standard_error_.get(), buffer, sizeof(buffer));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (size <= 0) {
      Close(standard_error_);
      return;
    }
    stderr_tail_.append(buffer, static_cast<std::size_t>(size));
    if (stderr_tail_.size() > kStderrTailBytes) {
      stderr_tail_.erase(0, stderr_tail_.size() - kStderrTailBytes);
    }
  }
}

}  // namespace forkserver::server
