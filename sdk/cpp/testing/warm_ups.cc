#include "sdk/cpp/testing/warm_ups.h"

#include <forkserver/test_host.h>
#include <forkserver/testing.h>

#include <cstdio>
#include <exception>

namespace forkserver::test_host {

std::vector<WarmUp>& WarmUps() {
  static std::vector<WarmUp> warm_ups;
  return warm_ups;
}

int AddWarmUp(const char* name, void (*run)()) {
  WarmUps().push_back({name, run});
  return 0;
}

bool HasWarmUps() { return !WarmUps().empty(); }

std::string EqualNameOfWarmUps() {
  const std::vector<WarmUp>& all = WarmUps();
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (std::size_t k = i + 1; k < all.size(); ++k) {
      if (all[i].name == all[k].name) return all[i].name;
    }
  }
  return {};
}

bool RunWarmUps() {
  static bool done = false;
  if (done) return true;
  done = true;
  for (const WarmUp& warm_up : WarmUps()) {
    try {
      warm_up.run();
      continue;
    } catch (const std::exception& exception) {
      std::fprintf(stderr, "forkserver: warm-up '%s': an exception: %s\n",
                   warm_up.name.c_str(), exception.what());
    } catch (...) {
      std::fprintf(stderr,
                   "forkserver: warm-up '%s': an exception that is not a "
                   "std::exception\n",
                   warm_up.name.c_str());
    }
    return false;
  }
  return true;
}

}  // namespace forkserver::test_host
