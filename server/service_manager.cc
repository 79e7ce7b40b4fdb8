#include "server/service_manager.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "sdk/base/unix_socket.h"

namespace forkserver::server {

bool IsListeningUnixStream(int fd) {
  sockaddr_storage address = {};
  socklen_t size = sizeof(address);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
      address.ss_family != AF_UNIX) {
    return false;
  }
  const auto is = [fd](int option, int expected) {
    int value = -1;
    socklen_t length = sizeof(value);
    return ::getsockopt(fd, SOL_SOCKET, option, &value, &length) == 0 &&
           value == expected;
  };
  return is(SO_TYPE, SOCK_STREAM) && is(SO_ACCEPTCONN, 1);
}

ServiceManager ServiceManager::Take(bool listens) {
  ServiceManager manager;
  const char* const address = std::getenv("NOTIFY_SOCKET");
  // Set since systemd 248, for the process that it executes: a service that
  // lets all of its processes notify would take our end for its own.
  const char* const meant = std::getenv("SYSTEMD_EXEC_PID");
  if (listens && address != nullptr &&
      (meant == nullptr || std::to_string(::getpid()) == meant)) {
    manager.address_ = address;
  }
  ::unsetenv("NOTIFY_SOCKET");
  return manager;
}

void ServiceManager::TellReady() const { Tell("READY=1"); }

void ServiceManager::TellStopping() const { Tell("STOPPING=1"); }

void ServiceManager::Tell(const std::string& state) const {
  sockaddr_un target = {};
  target.sun_family = AF_UNIX;
  if (address_.size() < 2 || address_.size() >= sizeof(target.sun_path)) return;
  std::memcpy(target.sun_path, address_.data(), address_.size());
  // An abstract one: its name is exactly as long as it says.
  if (address_[0] == '@') target.sun_path[0] = '\0';
  const auto size =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
  const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM, 0));
  if (!fd) return;
  SetCloseOnExec(fd.get());
  // The manager's queue may be full while a session starts.
  const timeval patience = {1, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  // It finds out by itself, later, if this fails.
  static_cast<void>(::sendto(fd.get(), state.data(), state.size(), 0,
                             reinterpret_cast<const sockaddr*>(&target),
                             size) > 0);
}

}  // namespace forkserver::server
