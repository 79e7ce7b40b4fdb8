// The warm-ups of this program, in the order of their registration.
#pragma once

#include <string>
#include <vector>

namespace forkserver::test_host {

struct WarmUp {
  std::string name;
  void (*run)() = nullptr;
};

std::vector<WarmUp>& WarmUps();

// The name that two of them share, or empty.
std::string EqualNameOfWarmUps();

}  // namespace forkserver::test_host
