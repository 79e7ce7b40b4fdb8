#include "server/launch/stderr_relay.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "sdk/base/unix_socket.h"
#include "sdk/process/platform.h"

namespace forkserver::server {
namespace {

constexpr std::size_t kChunk = std::size_t{16} << 10;
// As much as a pipe holds: what a worker left in it when it ended.
constexpr std::size_t kMaxLeft = std::size_t{64} << 10;

struct Target {
  UniqueFd fd;
  bool is_socket = false;
};

// A way to write to what `fd` is that cannot block; nullopt: there is none.
std::optional<Target> OpenTarget(int fd) {
  struct stat info = {};
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY || ::fstat(fd, &info) != 0) {
    return std::nullopt;
  }
  Target target;
  if (S_ISSOCK(info.st_mode)) {
    // By MSG_DONTWAIT: the description is the client's, who may want it to
    // block.
    target.is_socket = true;
    target.fd = UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  } else if (S_ISFIFO(info.st_mode) || S_ISCHR(info.st_mode)) {
    target.fd = ReopenForWriting(fd);
  }
  if (!target.fd) return std::nullopt;
  return target;
}

// Where descriptor 2 of `setup` comes from; end() if it is not placed.
std::vector<protocol::FdPlacement>::iterator FindStderr(
    protocol::Setup& setup) {
  return std::find_if(
      setup.fds.begin(), setup.fds.end(),
      [](const protocol::FdPlacement& each) { return each.child_fd == 2; });
}

}  // namespace

Result<std::unique_ptr<StderrRelay>> StderrRelay::Insert(
    PollSet& poll_set, Tokens tokens, protocol::Setup& setup,
    std::vector<UniqueFd>& fds) {
  auto place = FindStderr(setup);
  Target target;
  if (place != setup.fds.end()) {
    // What is out of range is refused when the set-up is checked.
    if (place->index < 0 ||
        place->index >= static_cast<std::int64_t>(fds.size())) {
      return std::unique_ptr<StderrRelay>();
    }
    std::optional<Target> opened =
        OpenTarget(fds[static_cast<std::size_t>(place->index)].get());
    if (!opened) return std::unique_ptr<StderrRelay>();
    target = std::move(*opened);
  }
  Result<Pipe> pipe = MakePipe();
  if (!pipe) return pipe.error();
  const int flags = ::fcntl(pipe->read_end.get(), F_GETFL);
  if (::fcntl(pipe->read_end.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
    return SystemError("fcntl(O_NONBLOCK)", errno);
  }
  std::unique_ptr<StderrRelay> relay(
      new StderrRelay(poll_set, tokens, std::move(pipe->read_end),
                      std::move(target.fd), target.is_socket));
  if (auto added = poll_set.Add(relay->source_.get(), relay->tokens_.source);
      !added) {
    return added.error();
  }
  relay->watching_source_ = true;

  if (place == setup.fds.end()) {
    setup.fds.push_back({2, static_cast<std::int64_t>(fds.size())});
    fds.push_back(std::move(pipe->write_end));
    return relay;
  }
  const std::int64_t index = place->index;
  const bool shared = setup.result == index ||
                      std::count_if(setup.fds.begin(), setup.fds.end(),
                                    [index](const protocol::FdPlacement& each) {
                                      return each.index == index;
                                    }) > 1;
  if (shared) {
    place->index = static_cast<std::int64_t>(fds.size());
    fds.push_back(std::move(pipe->write_end));
  } else {
    fds[static_cast<std::size_t>(index)] = std::move(pipe->write_end);
  }
  return relay;
}

StderrRelay::StderrRelay(PollSet& poll_set, Tokens tokens, UniqueFd source,
                         UniqueFd target, bool is_socket)
    : poll_set_(poll_set),
      tokens_(tokens),
      source_(std::move(source)),
      target_(std::move(target)),
      is_socket_(is_socket) {}

std::unique_ptr<StderrRelay> StderrRelay::Resume(PollSet& poll_set,
                                                 Tokens tokens,
                                                 protocol::HandedRelay handed) {
  std::unique_ptr<StderrRelay> relay(
      new StderrRelay(poll_set, tokens, TakeHanded(handed.source),
                      TakeHanded(handed.target), handed.is_socket));
  relay->ended_ = handed.ended;
  relay->pending_ = std::move(handed.pending.data);
  relay->tail_ = std::move(handed.tail.data);
  // Nothing is sent yet: it may have to go back.
  if (!relay->pending_.empty()) {
    relay->watching_target_ =
        poll_set.AddWritable(relay->target_.get(), tokens.target).has_value();
  } else if (relay->source_) {
    relay->watching_source_ =
        poll_set.Add(relay->source_.get(), tokens.source).has_value();
  }
  return relay;
}

protocol::HandedRelay StderrRelay::WriteDown(HandedFds& fds) const {
  protocol::HandedRelay handed;
  handed.source = fds.Add(source_);
  handed.target = fds.Add(target_);
  handed.is_socket = is_socket_;
  handed.ended = ended_;
  handed.pending.data = pending_;
  handed.tail.data = tail_;
  return handed;
}

StderrRelay::~StderrRelay() {
  WatchTarget(false);
  CloseSource();
}

void StderrRelay::WatchSource(bool on) {
  if (on == watching_source_ || !source_) return;
  if (on) {
    watching_source_ = poll_set_.Add(source_.get(), tokens_.source).has_value();
    // Nobody would ever read it: the worker gets SIGPIPE, and does not hang.
    if (!watching_source_) CloseSource();
  } else {
    poll_set_.Remove(source_.get());
    watching_source_ = false;
  }
}

void StderrRelay::WatchTarget(bool on) {
  if (on == watching_target_ || !target_) return;
  if (on) {
    watching_target_ =
        poll_set_.AddWritable(target_.get(), tokens_.target).has_value();
    if (!watching_target_) {
      pending_.clear();
      CloseSource();
    }
  } else {
    poll_set_.Remove(target_.get());
    watching_target_ = false;
  }
}

void StderrRelay::CloseSource() {
  if (!source_) return;
  if (watching_source_) poll_set_.Remove(source_.get());
  watching_source_ = false;
  source_.Reset();
}

bool StderrRelay::ReadSome() {
  char chunk[kChunk];
  ssize_t got = -1;
  do {
    got = ::read(source_.get(), chunk, sizeof(chunk));
  } while (got < 0 && errno == EINTR);
  if (got < 0 && errno == EAGAIN) return false;
  if (got <= 0) {
    CloseSource();
    return false;
  }
  const auto size = static_cast<std::size_t>(got);
  tail_.append(chunk, size);
  if (tail_.size() > kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
  if (target_) pending_.append(chunk, size);
  return true;
}

void StderrRelay::OnReadable() {
  if (!source_ || !pending_.empty()) return;
  ReadSome();
  Flush();
}

void StderrRelay::Flush() {
  while (!pending_.empty()) {
    const ssize_t sent =
        is_socket_ ? ::send(target_.get(), pending_.data(), pending_.size(),
                            MSG_DONTWAIT | MSG_NOSIGNAL)
                   : ::write(target_.get(), pending_.data(), pending_.size());
    if (sent >= 0) {
      pending_.erase(0, static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      WatchSource(false);
      WatchTarget(true);
      return;
    } else if (errno != EINTR) {
      // Whoever read it is gone: the worker learns it as it would have.
      pending_.clear();
      WatchTarget(false);
      CloseSource();
      return;
    }
  }
  WatchTarget(false);
  WatchSource(true);
}

std::string StderrRelay::TakeTail() {
  ended_ = true;
  for (std::size_t left = kMaxLeft; source_ && left >= kChunk; left -= kChunk) {
    if (!ReadSome()) break;
  }
  Flush();
  return std::exchange(tail_, {});
}

}  // namespace forkserver::server
