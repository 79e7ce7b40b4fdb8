// The connection of a command to its daemon. Blocks as Client::Connect does.
#pragma once

#include <forkserver/client.h>
#include <forkserver/result.h>

#include <string>

#include "tools/forkserver/options.h"

namespace forkserver::cli {

// The socket that the SDK would use for these options.
std::string SocketPath(const Options& options);

// Starts a daemon if none serves the socket.
Result<Client> ConnectOrStart(const Options& options);

// For commands that look or stop: starts nothing.
Result<Client> ConnectToRunning(const Options& options);
// Whether ConnectToRunning failed only because no daemon serves the socket.
bool IsAbsent(const Error& error);

}  // namespace forkserver::cli
