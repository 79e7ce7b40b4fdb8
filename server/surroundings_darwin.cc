#include <sys/resource.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "server/surroundings.h"

namespace forkserver::server {

std::vector<std::string> ResetSurroundings() {
  std::vector<std::string> kept;
  const auto keep = [&kept](const std::string& what, const char* call) {
    kept.push_back(what + " (" + call + ": " + std::strerror(errno) + ")");
  };
  errno = 0;
  const int nice = ::getpriority(PRIO_PROCESS, 0);
  if (nice != 0 && ::setpriority(PRIO_PROCESS, 0, 0) != 0) {
    keep("niceness " + std::to_string(nice), "setpriority");
  }
  // As taskpolicy(8) -b sets it.
  if (::setpriority(PRIO_DARWIN_PROCESS, 0, 0) != 0) {
    keep("its background state", "setpriority");
  }
  if (::setiopolicy_np(IOPOL_TYPE_DISK, IOPOL_SCOPE_PROCESS, IOPOL_DEFAULT) !=
      0) {
    keep("its I/O policy", "setiopolicy_np");
  }
  return kept;
}

}  // namespace forkserver::server
