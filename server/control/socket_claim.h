// The right to serve a socket path: a lock that is held for as long as this
// object lives, and the listening socket.
//
// Two daemons cannot serve one path. What a dead one left behind is taken
// over, under the lock. Creating one blocks for the moments that the file
// system takes. Of a socket that was handed over the service manager sees to
// that it is the only one; the lock is taken if it is free.
#pragma once

#include <forkserver/result.h>

#include <string>

#include "sdk/base/unique_fd.h"
#include "sdk/protocol/upgrade_messages.h"
#include "server/handed_fds.h"

namespace forkserver::server {

class SocketClaim {
 public:
  // Errors: "already_served" when another daemon holds the lock or answers on
  // the socket; others say what is wrong with the path.
  static constexpr char kAlreadyServed[] = "already_served";
  static Result<SocketClaim> Take(const std::string& path);
  // A socket that was handed over, listening already (socket activation). The
  // path is that which it is bound to; `path` if that cannot be told.
  static SocketClaim Adopt(std::string path, UniqueFd listening);

  // Of the program that this one replaces, in the same process.
  static SocketClaim Resume(const protocol::HandedClaim& handed);
  protocol::HandedClaim WriteDown(HandedFds& fds) const;

  SocketClaim(SocketClaim&&) = default;
  SocketClaim& operator=(SocketClaim&&) = delete;
  // Removes the socket, if it is still this one, and then gives up the lock.
  ~SocketClaim();

  int listening_fd() const { return listening_.get(); }
  const std::string& path() const { return path_; }

  // The instance that the last daemon on this path noted; empty if none.
  std::string ReadInstance() const;
  void NoteInstance(const std::string& instance) const;

 private:
  SocketClaim() = default;
  // Error kAlreadyServed if another one holds it.
  Result<void> TakeLock();

  std::string path_;
  UniqueFd lock_;
  UniqueFd listening_;
  bool owns_file_ = false;
  unsigned long long inode_ = 0;
};

}  // namespace forkserver::server
