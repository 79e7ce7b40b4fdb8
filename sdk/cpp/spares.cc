#include "sdk/cpp/spares.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <string>
#include <utility>

#include "sdk/base/unix_socket.h"
#include "sdk/cpp/child_status.h"
#include "sdk/protocol/framing.h"

namespace forkserver {
namespace {

constexpr std::int64_t kQuietNs = 3'000'000;
constexpr std::int64_t kPostponeNs = 1'000'000'000;
// What a channel takes at once, whatever the system's defaults: a zygote does
// not wait for a spare. A larger request is forked for.
constexpr std::size_t kMostBytes = 64u << 10;

}  // namespace

void Spares::Start(std::size_t least, std::size_t most, int null_fd) {
  least_ = least;
  null_fd_ = null_fd;
  while (numbers_.size() < most) {
    UniqueFd number(::fcntl(null_fd, F_DUPFD_CLOEXEC, 3));
    if (!number) break;
    free_.push_back(numbers_.size());
    numbers_.push_back(std::move(number));
  }
}

std::vector<int> Spares::fds() const {
  std::vector<int> fds;
  for (const UniqueFd& number : numbers_) fds.push_back(number.get());
  return fds;
}

std::int64_t Spares::NextInNs(std::int64_t now_ns) const {
  if (free_.empty() || last_started_ns_ == 0) return -1;
  if (now_ns < not_before_ns_) return not_before_ns_ - now_ns;
  if (parked_.size() < least_) return 0;
  return std::max<std::int64_t>(0, last_started_ns_ + kQuietNs - now_ns);
}

void Spares::Postpone(std::int64_t now_ns) {
  not_before_ns_ = now_ns + kPostponeNs;
}

void Spares::Add(pid_t pid, UniqueFd channel) {
  const Parked spare = {pid, free_.back()};
  free_.pop_back();
  ::dup2(channel.get(), numbers_[spare.number].get());
  SetCloseOnExec(numbers_[spare.number].get());
  parked_.push_back(spare);
}

pid_t Spares::HandOver(std::string_view payload,
                       const std::vector<UniqueFd>& fds) {
  if (parked_.empty() || payload.size() > kMostBytes) return 0;
  std::string frame(protocol::kFrameHeaderBytes, '\0');
  frame.append(payload);
  protocol::SealFrame(frame);
  std::vector<int> numbers;
  numbers.reserve(fds.size());
  for (const UniqueFd& fd : fds) numbers.push_back(fd.get());
  while (!parked_.empty()) {
    const Parked spare = parked_.back();
    parked_.pop_back();
    // One that is killed in this moment takes the request with it, which then
    // has failed to launch.
    if (PeekEndedChild(spare.pid, ChildWait::kPoll)) {
      Release(spare);
      continue;
    }
    const long sent = SendWithFds(numbers_[spare.number].get(), frame.data(),
                                  frame.size(), numbers.data(), numbers.size());
    Release(spare);
    if (sent == static_cast<long>(frame.size())) return spare.pid;
    ::kill(spare.pid, SIGKILL);
  }
  return 0;
}

bool Spares::Forget(pid_t pid) {
  const auto found =
      std::find_if(parked_.begin(), parked_.end(),
                   [pid](const Parked& spare) { return spare.pid == pid; });
  if (found == parked_.end()) return false;
  Release(*found);
  parked_.erase(found);
  return true;
}

void Spares::Stop() {
  for (const Parked& spare : parked_) ::kill(spare.pid, SIGKILL);
  parked_.clear();
  free_.clear();
  numbers_.clear();
}

void Spares::Abandon() {
  for (UniqueFd& number : numbers_) static_cast<void>(number.Release());
  parked_.clear();
  free_.clear();
  numbers_.clear();
}

// What was sent stays in the channel until the spare has read it.
void Spares::Release(const Parked& spare) {
  ::dup2(null_fd_, numbers_[spare.number].get());
  SetCloseOnExec(numbers_[spare.number].get());
  free_.push_back(spare.number);
}

}  // namespace forkserver
