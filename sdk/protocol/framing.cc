#include "sdk/protocol/framing.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

#include "sdk/base/unix_socket.h"

namespace forkserver::protocol {
namespace {

constexpr std::size_t kReadBytes = 16 * 1024;
// A buffer that one large frame made this big is given back.
constexpr std::size_t kKeptBytes = 256 * 1024;

std::uint32_t ReadLength(const char* bytes) {
  unsigned char b[kFrameHeaderBytes];
  std::memcpy(b, bytes, sizeof(b));
  return std::uint32_t{b[0]} << 24 | std::uint32_t{b[1]} << 16 |
         std::uint32_t{b[2]} << 8 | std::uint32_t{b[3]};
}

}  // namespace

void SealFrame(std::string& frame) {
  const std::size_t size = frame.size() - kFrameHeaderBytes;
  frame[0] = static_cast<char>(size >> 24);
  frame[1] = static_cast<char>(size >> 16);
  frame[2] = static_cast<char>(size >> 8);
  frame[3] = static_cast<char>(size);
}

FrameReader::FrameReader(std::size_t max_payload_bytes)
    : max_payload_bytes_(max_payload_bytes) {}

void FrameReader::Reserve(std::size_t bytes) {
  if (begin_ == end_) begin_ = end_ = 0;
  if (capacity_ - end_ >= bytes) return;
  const std::size_t held = end_ - begin_;
  const std::size_t wanted = held + bytes;
  if (wanted <= capacity_ && capacity_ <= kKeptBytes) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, held);
  } else {
    // Grows by doubling: many small reads of one large frame stay linear.
    const std::size_t capacity = std::max(wanted, held * 2);
    std::unique_ptr<char[]> grown(new char[capacity]);
    if (held > 0) std::memcpy(grown.get(), buffer_.get() + begin_, held);
    buffer_ = std::move(grown);
    capacity_ = capacity;
  }
  begin_ = 0;
  end_ = held;
}

Result<FrameReader::Status> FrameReader::Receive(int fd, bool is_socket) {
  if (begin_ == end_ && capacity_ > kKeptBytes) {
    buffer_.reset();
    capacity_ = begin_ = end_ = 0;
  }
  Reserve(kReadBytes);
  char* const target = buffer_.get() + end_;
  const std::size_t room = capacity_ - end_;
  long size;
  if (is_socket) {
    const Received received = ReceiveWithFds(fd, target, room, fds_);
    fds_lost_ = fds_lost_ || received.fds_lost;
    size = received.size;
  } else {
    do {
      size = ::read(fd, target, room);
    } while (size < 0 && errno == EINTR);
    if (size < 0) size = -errno;
  }
  if (size == -EAGAIN || size == -EWOULDBLOCK) return Status::kWouldBlock;
  // A peer that died with unread data makes the socket answer ECONNRESET.
  if (size == 0 || size == -ECONNRESET) return Status::kClosed;
  if (size < 0) {
    return SystemError(is_socket ? "recvmsg()" : "read()",
                       static_cast<int>(-size));
  }
  end_ += static_cast<std::size_t>(size);
  return Status::kProgress;
}

void FrameReader::Append(std::string_view bytes) {
  if (bytes.empty()) return;
  Reserve(bytes.size());
  std::memcpy(buffer_.get() + end_, bytes.data(), bytes.size());
  end_ += bytes.size();
}

Result<std::optional<std::string_view>> FrameReader::Next() {
  const std::size_t held = end_ - begin_;
  if (held < kFrameHeaderBytes) return std::optional<std::string_view>();
  const std::size_t size = ReadLength(buffer_.get() + begin_);
  if (size > max_payload_bytes_) {
    return MakeError(error_code::kFrameTooLarge,
                     "a frame announces " + std::to_string(size) +
                         " bytes, the limit is " +
                         std::to_string(max_payload_bytes_),
                     "send large data through a descriptor, not in a frame");
  }
  if (held < kFrameHeaderBytes + size) {
    return std::optional<std::string_view>();
  }
  const std::string_view payload(buffer_.get() + begin_ + kFrameHeaderBytes,
                                 size);
  begin_ += kFrameHeaderBytes + size;
  return std::optional<std::string_view>(payload);
}

std::vector<UniqueFd> FrameReader::TakeFds(std::size_t count) {
  count = std::min(count, fds_.size());
  if (count == fds_.size()) return std::exchange(fds_, {});
  const auto end = fds_.begin() + static_cast<std::ptrdiff_t>(count);
  std::vector<UniqueFd> taken(std::make_move_iterator(fds_.begin()),
                              std::make_move_iterator(end));
  fds_.erase(fds_.begin(), end);
  return taken;
}

bool FrameReader::TakeFdsLost() { return std::exchange(fds_lost_, false); }

void FrameReader::Hold(std::string_view bytes, std::vector<UniqueFd> fds,
                       bool fds_lost) {
  Append(bytes);
  fds_ = std::move(fds);
  fds_lost_ = fds_lost;
}

}  // namespace forkserver::protocol
