// Frames: a 32-bit big-endian length, then that many bytes, with descriptors
// riding on the first byte. Passive; no I/O of its own but one receive.
#pragma once

#include <forkserver/result.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/base/unique_fd.h"

namespace forkserver::protocol {

inline constexpr std::size_t kFrameHeaderBytes = 4;

// Writes the length of `frame`'s payload into its first four bytes, which the
// caller left free.
void SealFrame(std::string& frame);

// Cuts a byte stream into frames and hands out the descriptors that came with
// it, in order. The stream is broken for good after an error.
class FrameReader {
 public:
  // `max_payload_bytes`: a frame that announces more is an error, and nothing
  // is allocated for it.
  explicit FrameReader(std::size_t max_payload_bytes);

  enum class Status {
    kProgress,    // something was read
    kWouldBlock,  // nothing there now
    kClosed,      // end of file
  };
  // One recvmsg(2) or, with `is_socket` false, one read(2).
  Result<Status> Receive(int fd, bool is_socket = true);

  // The payload of the next whole frame, or nullopt. Valid until the next
  // call of Receive or Next. Error "frame_too_large".
  Result<std::optional<std::string_view>> Next();

  // For tests and replays: bytes as if received.
  void Append(std::string_view bytes);

  // Descriptors received and not taken yet.
  std::size_t fds_available() const { return fds_.size(); }
  // Takes the first `count`; fewer if there are not so many.
  std::vector<UniqueFd> TakeFds(std::size_t count);
  // True when no byte of a further frame has arrived.
  bool at_boundary() const { return begin_ == end_; }
  // Bytes that were received and not handed out.
  std::size_t buffered_bytes() const { return end_ - begin_; }
  // Since the last call: the kernel dropped descriptors for want of room.
  bool TakeFdsLost();

  // For another reader of the same stream, that goes on where this one is:
  // what it holds, and to make it hold that.
  std::string_view held_bytes() const {
    return {buffer_.get() + begin_, end_ - begin_};
  }
  const std::vector<UniqueFd>& held_fds() const { return fds_; }
  bool fds_lost() const { return fds_lost_; }
  void Hold(std::string_view bytes, std::vector<UniqueFd> fds, bool fds_lost);

 private:
  void Reserve(std::size_t bytes);

  std::size_t max_payload_bytes_;
  std::unique_ptr<char[]> buffer_;  // not a vector: never cleared
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::vector<UniqueFd> fds_;
  bool fds_lost_ = false;
};

}  // namespace forkserver::protocol
