#include <fcntl.h>
#include <unistd.h>

#include <climits>

#include "sdk/process/platform.h"
#include "server/upgrade/execute_fd.h"

namespace forkserver::server {

UniqueFd OpenOwnProgram() {
  return UniqueFd(::open(ExecutablePath().c_str(), O_RDONLY | O_CLOEXEC));
}

void ExecuteFd(int program, char* const* argv, char* const* environment) {
  // There is no fexecve(3): by the name that the file has now, if it has one.
  char path[PATH_MAX];
  if (::fcntl(program, F_GETPATH, path) == 0) {
    ::execve(path, argv, environment);
  }
}

}  // namespace forkserver::server
