// Where the daemon's socket is, the same for the daemon, the command line and
// every SDK. Passive; reads the environment at each call.
#pragma once

#include <forkserver/result.h>

#include <string>

namespace forkserver {

// The first of
//   `explicit_path`, if it is not empty
//   $FORKSERVER_SOCKET, if it is not empty
//   $XDG_RUNTIME_DIR/forkserver/default.sock, if that is an absolute path
//   /run/user/UID/forkserver/default.sock, if /run/user/UID is a folder of
//       the effective user
//   on macOS, forkserver/default.sock in the user's temporary folder
//   /tmp/forkserver-UID/default.sock
// Creates nothing, and does not check the length: see CheckSocketPath. A
// relative path is returned as it is.
std::string FindSocketPath(const std::string& explicit_path = {});

// The same without the first two: that of the session's own daemon.
std::string SessionSocketPath();

// For the daemon, before it binds: makes the folder of the socket (0700; its
// last component only) or checks the one that is there. Error "socket_path"
// when it belongs to another user, can be written by group or others, or is
// not a folder; "system" when it cannot be made.
Result<void> PrepareSocketFolder(const std::string& socket_path);

}  // namespace forkserver
