// Accepts clients and decides who may be one: the peer's user must be the
// daemon's, and the peer must not be more confined than the daemon.
#pragma once

#include <forkserver/result.h>

#include <functional>
#include <memory>

#include "sdk/base/unique_fd.h"
#include "server/control/connection.h"
#include "server/event_loop/loop.h"

namespace forkserver::server {

class Listener {
 public:
  using OnConnection = std::function<void(std::unique_ptr<Connection>)>;

  // `listening_fd` is borrowed. Accepts from now on. The ids of connections
  // begin after `last_id`.
  Listener(Loop& loop, int listening_fd, bool allow_confined,
           OnConnection on_connection, OwnerId last_id = 0);

  // False: the system does not let it watch its socket. Useless then.
  bool valid() const { return watcher_->valid(); }
  // Clients that connect from now on wait in the backlog.
  void Stop() { watcher_.reset(); }
  OwnerId last_id() const { return last_id_; }

 private:
  void Accept();
  // Whether the peer may be a client.
  Result<void> Admit(int socket, pid_t& pid, UniqueFd& process) const;

  int listening_fd_;
  bool allow_confined_;
  OnConnection on_connection_;
  OwnerId last_id_;
  // Given up for a moment when there are no descriptors left, so that a
  // client is told instead of left waiting.
  UniqueFd reserve_;
  std::optional<FdWatcher> watcher_;
};

}  // namespace forkserver::server
