// The spares of one zygote, as the daemon has them: the ends of their channels,
// in the order in which they were forked. A request that is sent there needs
// no zygote.
//
// Passive; never blocks. Who has become whose worker is the caller's to tell
// the zygote.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/protocol/upgrade_messages.h"
#include "server/handed_fds.h"

namespace forkserver::server {

class ParkedSpares {
 public:
  // `channel`: the daemon's end. False if there are more than a zygote may
  // have: it is closed.
  bool Add(pid_t pid, UniqueFd channel);
  // It is not to be used any more. False: it was used, or is unknown.
  bool Remove(pid_t pid);
  // The same for all; they end when they read that their channels are closed.
  void Clear() { parked_.clear(); }

  // For a program that replaces this one, in the same process.
  std::vector<protocol::HandedSpare> WriteDown(HandedFds& fds) const;
  void Resume(const std::vector<protocol::HandedSpare>& handed);

  // Sends a whole ForkWorker frame to one, which is a spare no more; its pid,
  // or 0 if there is none that can take it. `fds` are borrowed.
  pid_t HandOver(const std::string& frame, const std::vector<UniqueFd>& fds);

 private:
  struct Parked {
    pid_t pid = 0;
    UniqueFd channel;
  };
  std::deque<Parked> parked_;
};

}  // namespace forkserver::server
