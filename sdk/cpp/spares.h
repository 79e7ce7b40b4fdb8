// Spares: workers that a zygote has forked in advance. Each is parked, waiting
// for a request on a channel of its own; handing one over costs no fork.
//
// Passive: the zygote's loop asks when to fork the next one, and forks it. Its
// end of each channel has one of the descriptor numbers that were set apart
// before the zygote was audited, so that nobody takes them for the program's.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "sdk/base/unique_fd.h"

namespace forkserver {

class Spares {
 public:
  Spares() = default;
  Spares(const Spares&) = delete;
  Spares& operator=(const Spares&) = delete;

  // Sets numbers apart for the channels of `most`, as copies of `null_fd`,
  // which is borrowed; for fewer if there are no more descriptors. Spares are
  // wanted since then.
  void Start(std::size_t least, std::size_t most, int null_fd);
  // Those numbers.
  std::vector<int> fds() const;

  // How long until the next one is to be forked, in ns: 0 is at once, negative
  // not at all. Below `least` that is now. Above, it waits until no worker has
  // been started for a few milliseconds, so as not to compete with it. None
  // before the first worker, the canary: the zygote may still be audited.
  std::int64_t NextInNs(std::int64_t now_ns) const;
  void NoteWorkerStarted(std::int64_t now_ns) { last_started_ns_ = now_ns; }
  // One could not be forked, or died: not again for a while.
  void Postpone(std::int64_t now_ns);

  // `channel`: our end, non-blocking, of that of a spare just forked.
  void Add(pid_t pid, UniqueFd channel);
  // Sends a request to one, which is a spare no more; its pid, or 0 if there is
  // none that can take it. What does not take it is killed. `fds` are borrowed.
  pid_t HandOver(std::string_view payload, const std::vector<UniqueFd>& fds);
  // One has ended. False: it was none, or not any more.
  bool Forget(pid_t pid);
  // They are not wanted any more: kills them. Blocks for nothing.
  void Stop();
  // In a forked child: their numbers are not this object's any more.
  void Abandon();

 private:
  struct Parked {
    pid_t pid;
    std::size_t number;  // of numbers_
  };
  void Release(const Parked& spare);

  std::size_t least_ = 0;
  std::vector<UniqueFd> numbers_;
  std::vector<std::size_t> free_;  // of numbers_
  std::vector<Parked> parked_;
  int null_fd_ = -1;
  std::int64_t last_started_ns_ = 0;  // 0: none was
  std::int64_t not_before_ns_ = 0;
};

}  // namespace forkserver
