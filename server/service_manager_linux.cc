#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string>

#include "sdk/base/unix_socket.h"
#include "server/service_manager.h"

namespace forkserver::server {
namespace {

// sd_listen_fds(3): they are 3, 4, ... of the process LISTEN_PID.
constexpr int kFirstFd = 3;
constexpr long kMaxFds = 1024;

}  // namespace

UniqueFd TakeActivationSocket() {
  const char* const pid = std::getenv("LISTEN_PID");
  const char* const count = std::getenv("LISTEN_FDS");
  UniqueFd socket;
  if (pid != nullptr && count != nullptr && std::to_string(::getpid()) == pid) {
    const long fds = std::min(std::strtol(count, nullptr, 10), kMaxFds);
    for (int fd = kFirstFd; fd < kFirstFd + fds; ++fd) {
      if (!IsListeningUnixStream(fd)) continue;
      socket = UniqueFd(fd);
      SetCloseOnExec(fd);
      break;
    }
  }
  for (const char* const name :
       {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) {
    ::unsetenv(name);
  }
  return socket;
}

}  // namespace forkserver::server
