#include <launch.h>

#include <cstdlib>

#include "sdk/base/unix_socket.h"
#include "server/service_manager.h"

namespace forkserver::server {
namespace {

// As `forkserver enable` names it in the agent's Sockets.
constexpr char kSocketName[] = "control";

}  // namespace

UniqueFd TakeActivationSocket() {
  int* fds = nullptr;
  std::size_t count = 0;
  // Fails with ESRCH for whatever launchd has not started.
  if (::launch_activate_socket(kSocketName, &fds, &count) != 0) {
    return UniqueFd();
  }
  UniqueFd socket;
  for (std::size_t i = 0; i < count; ++i) {
    UniqueFd fd(fds[i]);
    if (socket || !IsListeningUnixStream(fd.get())) continue;
    SetCloseOnExec(fd.get());
    socket = std::move(fd);
  }
  std::free(fds);
  return socket;
}

}  // namespace forkserver::server
