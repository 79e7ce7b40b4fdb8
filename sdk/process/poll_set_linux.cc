#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>

#include "sdk/process/poll_set.h"

namespace forkserver {
namespace {

constexpr int kBatch = 128;

epoll_event Interest(std::uint32_t events, std::uint64_t token) {
  epoll_event event = {};
  event.events = events;
  event.data.u64 = token;
  return event;
}

}  // namespace

Result<PollSet> PollSet::Create() {
  UniqueFd fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!fd) return SystemError("epoll_create1()", errno);
  return PollSet(std::move(fd));
}

Result<void> PollSet::Add(int fd, std::uint64_t token) {
  epoll_event event = Interest(EPOLLIN, token);
  if (::epoll_ctl(fd_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return SystemError("epoll_ctl(ADD)", errno);
  }
  return {};
}

void PollSet::WatchWritable(int fd, std::uint64_t token, bool on) {
  epoll_event event =
      Interest(on ? std::uint32_t{EPOLLIN} | EPOLLOUT : EPOLLIN, token);
  // It is in the set: nothing is allocated, so that this cannot fail.
  ::epoll_ctl(fd_.get(), EPOLL_CTL_MOD, fd, &event);
}

Result<void> PollSet::AddWritable(int fd, std::uint64_t token) {
  epoll_event event = Interest(EPOLLOUT, token);
  if (::epoll_ctl(fd_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return SystemError("epoll_ctl(ADD)", errno);
  }
  return {};
}

void PollSet::Remove(int fd) {
  // Explicitly: a forked child may hold the descriptor open, and then closing
  // ours would not take it out of the set.
  epoll_event event = {};
  ::epoll_ctl(fd_.get(), EPOLL_CTL_DEL, fd, &event);
}

Result<void> PollSet::AddProcess(pid_t, int process_fd, std::uint64_t token) {
  epoll_event event = Interest(EPOLLIN | EPOLLONESHOT, token);
  if (::epoll_ctl(fd_.get(), EPOLL_CTL_ADD, process_fd, &event) != 0) {
    return SystemError("epoll_ctl(ADD pidfd)", errno);
  }
  return {};
}

Result<void> PollSet::Wait(int timeout_ms, std::vector<Event>& events) {
  events.clear();
  epoll_event ready[kBatch];
  const int count = ::epoll_wait(fd_.get(), ready, kBatch, timeout_ms);
  if (count < 0) {
    if (errno == EINTR) return {};
    return SystemError("epoll_wait()", errno);
  }
  for (int i = 0; i < count; ++i) {
    Event event;
    event.token = ready[i].data.u64;
    event.readable = (ready[i].events & ~std::uint32_t{EPOLLOUT}) != 0;
    event.writable = (ready[i].events & EPOLLOUT) != 0;
    events.push_back(event);
  }
  return {};
}

}  // namespace forkserver
