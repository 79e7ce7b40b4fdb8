// Spares: workers that a zygote has forked in advance, each waiting for a
// request that the daemon sends it. Which there are, and when the next one is
// due.
//
// Passive: the zygote's loop asks when to fork one, and forks it.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace forkserver {

class Spares {
 public:
  // They are wanted from now on.
  void Start(std::size_t least, std::size_t most);
  // They are not any more.
  void Stop();

  // How long until the next one is to be forked, in ns: 0 is at once, negative
  // not at all. Below `least` that is now. Above, it waits until no worker has
  // been started for a few milliseconds, so as not to compete with it. None
  // before the first worker, the canary: the zygote may still be audited.
  std::int64_t NextInNs(std::int64_t now_ns) const;
  void NoteWorkerStarted(std::int64_t now_ns) { last_started_ns_ = now_ns; }
  // One could not be forked, or was of no use: not again for a while.
  void Postpone(std::int64_t now_ns);

  void Add(pid_t pid) { parked_.push_back(pid); }
  // It has ended or is a worker. Nothing happens if it is none of these.
  void Remove(pid_t pid);
  // Removes all.
  std::vector<pid_t> TakeAll();

 private:
  std::size_t least_ = 0;
  std::size_t most_ = 0;
  std::vector<pid_t> parked_;
  std::int64_t last_started_ns_ = 0;  // 0: none was
  std::int64_t not_before_ns_ = 0;
};

}  // namespace forkserver
