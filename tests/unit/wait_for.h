// Waiting in tests: for a predicate, never for a time.
#pragma once

#include <chrono>
#include <thread>

namespace forkserver::testing {

// True as soon as `predicate()` is; false when it is not within `limit`.
template <typename Predicate>
bool WaitFor(const Predicate& predicate,
             std::chrono::milliseconds limit = std::chrono::seconds(30)) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!predicate()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace forkserver::testing
