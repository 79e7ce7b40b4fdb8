#include "sdk/cpp/spares.h"

#include <algorithm>
#include <utility>

namespace forkserver {
namespace {

constexpr std::int64_t kQuietNs = 3'000'000;
constexpr std::int64_t kPostponeNs = 1'000'000'000;

}  // namespace

void Spares::Start(std::size_t least, std::size_t most) {
  least_ = least;
  most_ = most;
}

void Spares::Stop() {
  most_ = 0;
  parked_.clear();
}

std::int64_t Spares::NextInNs(std::int64_t now_ns) const {
  if (parked_.size() >= most_ || last_started_ns_ == 0) return -1;
  if (now_ns < not_before_ns_) return not_before_ns_ - now_ns;
  if (parked_.size() < least_) return 0;
  return std::max<std::int64_t>(0, last_started_ns_ + kQuietNs - now_ns);
}

void Spares::Postpone(std::int64_t now_ns) {
  not_before_ns_ = now_ns + kPostponeNs;
}

void Spares::Remove(pid_t pid) { std::erase(parked_, pid); }

std::vector<pid_t> Spares::TakeAll() { return std::exchange(parked_, {}); }

}  // namespace forkserver
