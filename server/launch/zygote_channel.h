// One zygote's conversation: frames out on its control socket, frames in from
// the control socket and the report pipe, and the end of its standard error.
// Mechanism only: what the frames mean is the zygote launcher's business.
//
// Never blocks; what cannot be sent now waits here, with its descriptors.
#pragma once

#include <forkserver/result.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/process/poll_set.h"
#include "sdk/protocol/codec.h"
#include "sdk/protocol/framing.h"
#include "sdk/protocol/upgrade_messages.h"
#include "server/handed_fds.h"
#include "server/launch/launch_event.h"

namespace forkserver::server {

class ZygoteChannel {
 public:
  // The tokens under which the three descriptors are polled.
  struct Tokens {
    std::uint64_t control = 0;
    std::uint64_t report = 0;
    std::uint64_t standard_error = 0;
  };

  // `standard_error` may be invalid. `poll_set` is borrowed.
  ZygoteChannel(PollSet& poll_set, Tokens tokens, UniqueFd control,
                UniqueFd report, UniqueFd standard_error);
  // Of the program that this one replaces, in the same process.
  ZygoteChannel(PollSet& poll_set, Tokens tokens,
                protocol::HandedChannel handed);
  protocol::HandedChannel WriteDown(HandedFds& fds) const;
  ~ZygoteChannel();
  ZygoteChannel(const ZygoteChannel&) = delete;
  ZygoteChannel& operator=(const ZygoteChannel&) = delete;

  // `key`: the process that the frame asks for, or 0.
  void Send(std::string frame, std::vector<UniqueFd> fds = {},
            ProcessKey key = 0);
  // Call when the control socket is writable.
  void Flush();
  // More is waiting for this zygote than it is fair to keep.
  bool congested() const {
    return queued_bytes_ > kMaxQueuedBytes || queued_fds_ > kMaxQueuedFds;
  }
  // The frames since the last call that could not be sent, though the zygote
  // may be alive.
  struct Dropped {
    ProcessKey key = 0;
    int error_number = 0;
  };
  std::vector<Dropped> TakeDropped() { return std::exchange(dropped_, {}); }
  // The stream broke in the middle of a frame: the zygote must be stopped.
  bool broken() const { return broken_; }
  // Why a part of it cannot be heard: set by the constructor. Useless then.
  const std::optional<Error>& unwatched() const { return unwatched_; }

  // Reads what has arrived and hands each message over, with the descriptors
  // that came with it; fewer than announced if there was no room for them. A
  // frame that is no message is an error, after which the zygote is not to be
  // trusted. Closed descriptors are not an error: see control_closed().
  // `drain`: until nothing is left to read; otherwise what is left is announced
  // again.
  using OnMessage =
      std::function<void(const protocol::Message&, std::vector<UniqueFd>)>;
  Result<void> ReadControl(const OnMessage& on_message, bool drain = false);
  Result<void> ReadReports(const OnMessage& on_message, bool drain = false);
  void ReadStandardError();

  bool control_closed() const { return !control_; }
  bool reports_closed() const { return !report_; }
  // The zygote is dead; children of it may yet report.
  void KeepReportsOnly();
  // The last 4 KiB of what it wrote to standard error.
  const std::string& stderr_tail() const { return stderr_tail_; }

 private:
  struct Outgoing {
    std::string frame;
    std::vector<UniqueFd> fds;
    ProcessKey key = 0;
    std::size_t sent = 0;
  };
  static constexpr std::size_t kMaxQueuedBytes = std::size_t{16} << 20;
  static constexpr std::size_t kMaxQueuedFds = 2048;
  void PopOutgoing();
  Result<void> Read(UniqueFd& fd, protocol::FrameReader& reader, bool is_socket,
                    bool drain, const OnMessage& on_message);
  void Close(UniqueFd& fd);

  PollSet& poll_set_;
  Tokens tokens_;
  UniqueFd control_;
  UniqueFd report_;
  UniqueFd standard_error_;
  protocol::FrameReader control_reader_;
  protocol::FrameReader report_reader_;
  std::deque<Outgoing> outgoing_;
  std::size_t queued_bytes_ = 0;
  std::size_t queued_fds_ = 0;
  std::vector<Dropped> dropped_;
  bool broken_ = false;
  std::optional<Error> unwatched_;
  bool watching_writable_ = false;
  std::string stderr_tail_;
};

}  // namespace forkserver::server
