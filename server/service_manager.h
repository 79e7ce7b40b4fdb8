// The service manager that started forkserverd, if one did: the socket that it
// listens on already, and what it is told. systemd's two protocols
// (sd_listen_fds(3), sd_notify(3)) are spoken here, without its library; of
// launchd it takes the socket. Passive.
#pragma once

#include <string>
#include <utility>

#include "sdk/base/unique_fd.h"

namespace forkserver::server {

// A listening Unix stream socket that the service manager handed to this very
// process, or invalid. Whatever else it handed over is left open. Takes
// LISTEN_* out of the environment. The two sides are service_manager_linux.cc
// and service_manager_darwin.cc.
UniqueFd TakeActivationSocket();

// The part that is the same on both: is `fd` such a socket?
bool IsListeningUnixStream(int fd);

class ServiceManager {
 public:
  // Takes NOTIFY_SOCKET out of the environment. `listens` false: it is not
  // to be told anything. Neither is one that started an ancestor of this
  // process, which inherited the variable.
  static ServiceManager Take(bool listens);
  // One that was known before: see address().
  explicit ServiceManager(std::string address = {})
      : address_(std::move(address)) {}
  const std::string& address() const { return address_; }

  // Both block for a second at most, and do nothing where nobody listens.
  void TellReady() const;
  void TellStopping() const;

 private:
  void Tell(const std::string& state) const;

  std::string address_;  // empty: nobody listens
};

}  // namespace forkserver::server
