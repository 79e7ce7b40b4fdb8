#include "tools/harness/plan/state_folder.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "tools/harness/plan/stable_hash.h"

namespace forkserver::harness {

Result<std::string> StateFolder(const std::string& root) {
  std::string folder;
  const char* const cache = std::getenv("XDG_CACHE_HOME");
  const char* const home = std::getenv("HOME");
  if (cache != nullptr && *cache == '/') {
    folder = cache;
  } else if (home != nullptr && *home == '/') {
    folder = std::string(home) + "/.cache";
  } else {
    return std::string();
  }
  folder += "/forkserver/tests/" + StableDigest(root);
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  if (failure) {
    return SystemError("mkdir(" + folder + ")", failure.value());
  }
  return folder;
}

}  // namespace forkserver::harness
