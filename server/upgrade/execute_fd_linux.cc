#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "server/upgrade/execute_fd.h"

namespace forkserver::server {

UniqueFd OpenOwnProgram() {
  return UniqueFd(::open("/proc/self/exe", O_PATH | O_CLOEXEC));
}

void ExecuteFd(int program, char* const* argv, char* const* environment) {
  ::syscall(SYS_execveat, program, "", argv, environment, AT_EMPTY_PATH);
}

}  // namespace forkserver::server
