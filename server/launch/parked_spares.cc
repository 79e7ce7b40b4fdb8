#include "server/launch/parked_spares.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "sdk/base/unix_socket.h"
#include "sdk/protocol/messages.h"

namespace forkserver::server {
namespace {

// What a channel takes at once, whatever the system's defaults.
constexpr std::size_t kMostBytes = 64u << 10;

}  // namespace

bool ParkedSpares::Add(pid_t pid, UniqueFd channel) {
  if (parked_.size() >= static_cast<std::size_t>(protocol::kMaxSpares)) {
    return false;
  }
  SetNonBlocking(channel.get());
  parked_.push_back({pid, std::move(channel)});
  return true;
}

bool ParkedSpares::Remove(pid_t pid) {
  const auto found =
      std::find_if(parked_.begin(), parked_.end(),
                   [pid](const Parked& spare) { return spare.pid == pid; });
  if (found == parked_.end()) return false;
  parked_.erase(found);
  return true;
}

std::vector<protocol::HandedSpare> ParkedSpares::WriteDown(
    HandedFds& fds) const {
  std::vector<protocol::HandedSpare> handed;
  for (const Parked& spare : parked_) {
    handed.push_back({spare.pid, fds.Add(spare.channel)});
  }
  return handed;
}

void ParkedSpares::Resume(const std::vector<protocol::HandedSpare>& handed) {
  for (const protocol::HandedSpare& one : handed) {
    parked_.push_back({static_cast<pid_t>(one.pid), TakeHanded(one.channel)});
  }
}

pid_t ParkedSpares::HandOver(const std::string& frame,
                             const std::vector<UniqueFd>& fds) {
  if (parked_.empty() || frame.size() > kMostBytes) return 0;
  std::vector<int> numbers;
  numbers.reserve(fds.size());
  for (const UniqueFd& fd : fds) numbers.push_back(fd.get());
  while (!parked_.empty()) {
    const long sent = SendWithFds(parked_.front().channel.get(), frame.data(),
                                  frame.size(), numbers.data(), numbers.size());
    // ENOBUFS, ETOOMANYREFS: no channel would take it now.
    if (sent < 0 && sent != -EPIPE && sent != -ECONNRESET) return 0;
    // Whatever became of it, it has no use for its channel any more: what was
    // sent can be read after its end, and a part of a request is none.
    const pid_t pid = parked_.front().pid;
    parked_.pop_front();
    if (sent == static_cast<long>(frame.size())) return pid;
  }
  return 0;
}

}  // namespace forkserver::server
