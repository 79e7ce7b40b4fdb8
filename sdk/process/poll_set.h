// PollSet: readiness of descriptors and ends of processes behind one
// descriptor: a nested epoll on Linux, a kqueue on macOS. A plain blocking
// loop waits on it, and so does an event loop that polls fd().
//
// Owns nothing that is registered. Level-triggered, except that the end of a
// process is told once. The same object must be used by one process only: a
// forked child closes its copy and must not change the set (on Linux it is
// the parent's set).
#pragma once

#include <forkserver/result.h>
#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "sdk/base/unique_fd.h"

namespace forkserver {

class PollSet {
 public:
  static Result<PollSet> Create();

  // Readable when an event is pending.
  int fd() const { return fd_.get(); }

  // `token` comes back with the events of `fd`.
  Result<void> Add(int fd, std::uint64_t token);
  // Also asks for (or stops asking for) writability.
  void WatchWritable(int fd, std::uint64_t token, bool on);
  // Only writability, of a descriptor that Add was not called for.
  Result<void> AddWritable(int fd, std::uint64_t token);
  // Must be called before `fd` is closed.
  void Remove(int fd);

  // The end of a process. Linux: `process_fd` is its pidfd, owned by the
  // caller, who calls Remove(process_fd) before closing it. macOS:
  // `process_fd` is ignored, `pid` is watched and forgotten when it ended.
  Result<void> AddProcess(pid_t pid, int process_fd, std::uint64_t token);

  struct Event {
    std::uint64_t token = 0;
    bool readable = false;  // data, end of file, error, or a process ended
    bool writable = false;
  };
  // Waits up to `timeout_ms` (-1: for ever, 0: not at all) and fills `events`.
  // A signal ends the wait early, with no events.
  Result<void> Wait(int timeout_ms, std::vector<Event>& events);

 private:
  explicit PollSet(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace forkserver
