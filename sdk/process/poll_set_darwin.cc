#include <sys/event.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "sdk/process/poll_set.h"

namespace forkserver {
namespace {

constexpr int kBatch = 128;

int Change(int queue, std::uintptr_t ident, std::int16_t filter,
           std::uint16_t flags, std::uint32_t filter_flags,
           std::uint64_t token) {
  struct kevent change = {};
  EV_SET(&change, ident, filter, flags, filter_flags, 0,
         reinterpret_cast<void*>(static_cast<std::uintptr_t>(token)));
  return ::kevent(queue, &change, 1, nullptr, 0, nullptr);
}

}  // namespace

Result<PollSet> PollSet::Create() {
  // A kqueue is never inherited by a forked child.
  UniqueFd fd(::kqueue());
  if (!fd) return SystemError("kqueue()", errno);
  return PollSet(std::move(fd));
}

Result<void> PollSet::Add(int fd, std::uint64_t token) {
  if (Change(fd_.get(), static_cast<std::uintptr_t>(fd), EVFILT_READ, EV_ADD, 0,
             token) != 0) {
    return SystemError("kevent(EVFILT_READ)", errno);
  }
  return {};
}

void PollSet::WatchWritable(int fd, std::uint64_t token, bool on) {
  Change(fd_.get(), static_cast<std::uintptr_t>(fd), EVFILT_WRITE,
         on ? EV_ADD : EV_DELETE, 0, token);
}

Result<void> PollSet::AddWritable(int fd, std::uint64_t token) {
  if (Change(fd_.get(), static_cast<std::uintptr_t>(fd), EVFILT_WRITE, EV_ADD,
             0, token) != 0) {
    return SystemError("kevent(EVFILT_WRITE)", errno);
  }
  return {};
}

void PollSet::Remove(int fd) {
  Change(fd_.get(), static_cast<std::uintptr_t>(fd), EVFILT_READ, EV_DELETE, 0,
         0);
  Change(fd_.get(), static_cast<std::uintptr_t>(fd), EVFILT_WRITE, EV_DELETE, 0,
         0);
}

Result<void> PollSet::AddProcess(pid_t pid, int, std::uint64_t token) {
  if (Change(fd_.get(), static_cast<std::uintptr_t>(pid), EVFILT_PROC,
             EV_ADD | EV_ONESHOT, NOTE_EXIT, token) != 0) {
    return SystemError("kevent(EVFILT_PROC)", errno);
  }
  return {};
}

Result<void> PollSet::Wait(int timeout_ms, std::vector<Event>& events) {
  events.clear();
  struct kevent ready[kBatch];
  timespec timeout = {timeout_ms / 1000, (timeout_ms % 1000) * 1'000'000L};
  const int count = ::kevent(fd_.get(), nullptr, 0, ready, kBatch,
                             timeout_ms < 0 ? nullptr : &timeout);
  if (count < 0) {
    if (errno == EINTR) return {};
    return SystemError("kevent()", errno);
  }
  for (int i = 0; i < count; ++i) {
    Event event;
    event.token = static_cast<std::uint64_t>(
        reinterpret_cast<std::uintptr_t>(ready[i].udata));
    event.readable = ready[i].filter != EVFILT_WRITE;
    event.writable = ready[i].filter == EVFILT_WRITE;
    events.push_back(event);
  }
  return {};
}

}  // namespace forkserver
