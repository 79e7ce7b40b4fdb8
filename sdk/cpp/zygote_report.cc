#include "sdk/cpp/zygote_report.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "sdk/base/unix_socket.h"
#include "sdk/protocol/codec.h"
#include "sdk/protocol/messages.h"

namespace forkserver {
namespace {

// A write that fails is tried again every millisecond, as often as this.
constexpr int kMaxFailures = 5000;

// The descriptors come from outside and may be non-blocking.
void WaitFor(int fd, short events) {
  pollfd entry = {fd, events, 0};
  while (::poll(&entry, 1, -1) < 0 && errno == EINTR) {
  }
}

void Shorten(std::string& text, std::size_t excess) {
  constexpr std::string_view kEllipsis = "...";
  if (text.size() <= excess + kEllipsis.size()) {
    text.clear();
    return;
  }
  std::size_t size = text.size() - excess - kEllipsis.size();
  // Not in the middle of a UTF-8 sequence: readers may check.
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) {
    --size;
  }
  text.resize(size);
  text += kEllipsis;
}

}  // namespace

void WaitUntilReadable(int fd) { WaitFor(fd, POLLIN); }

bool SendControlFrame(int control_fd, std::string_view frame, int fd) {
  std::size_t fds = fd < 0 ? 0 : 1;
  while (!frame.empty()) {
    const long sent =
        SendWithFds(control_fd, frame.data(), frame.size(), &fd, fds);
    if (sent == -EAGAIN || sent == -EWOULDBLOCK) {
      WaitFor(control_fd, POLLOUT);
    } else if (sent < 0) {
      return false;
    } else {
      frame.remove_prefix(static_cast<std::size_t>(sent));
      fds = 0;
    }
  }
  return true;
}

bool WriteReport(int report_fd, std::string_view frame) {
  int failures = 0;
  for (;;) {
    const ssize_t written = ::write(report_fd, frame.data(), frame.size());
    if (written >= 0) return true;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      WaitFor(report_fd, POLLOUT);
    } else if (errno != EINTR) {
      if (errno == EPIPE || errno == EBADF) return false;
      // A pipe needs memory (ENOMEM), and somebody waits for this report.
      if (++failures == kMaxFailures) return false;
      ::poll(nullptr, 0, /*timeout=*/1);
    }
  }
}

std::string EncodeFailed(const std::string& worker, pid_t pid,
                         const Error& error) {
  protocol::Failed failed;
  failed.worker = worker;
  failed.pid = pid;
  failed.error = protocol::ToWire(error);
  std::array texts = {&failed.error.message, &failed.error.hint,
                      &failed.error.step};
  std::sort(texts.begin(), texts.end(),
            [](const auto* a, const auto* b) { return a->size() > b->size(); });
  std::string frame = protocol::EncodeRequest(0, 0, failed);
  for (std::string* text : texts) {
    if (frame.size() <= protocol::kMaxReportBytes) break;
    Shorten(*text, frame.size() - protocol::kMaxReportBytes);
    frame = protocol::EncodeRequest(0, 0, failed);
  }
  return frame;
}

std::vector<std::string> EncodeCrash(const std::string& worker,
                                     const std::string& part,
                                     std::string_view text) {
  protocol::Crash piece;
  piece.worker = worker;
  piece.part = part;
  // The length of longer data takes a byte more.
  const std::size_t room = protocol::kMaxReportBytes -
                           protocol::EncodeRequest(0, 0, piece).size() - 1;
  std::vector<std::string> frames;
  while (!text.empty()) {
    piece.data.data = text.substr(0, room);
    text.remove_prefix(piece.data.data.size());
    frames.push_back(protocol::EncodeRequest(0, 0, piece));
  }
  return frames;
}

}  // namespace forkserver
