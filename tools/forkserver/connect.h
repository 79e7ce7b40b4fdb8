// The connection of a command to its daemon. Blocks as Client::Connect does.
// A daemon of another version is told on standard error, once in a process.
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
// The same, for commands that tell of another version in their own way.
Result<Client> ConnectSilently(const Options& options);
// Whether these two failed only because no daemon serves the socket.
bool IsAbsent(const Error& error);

}  // namespace forkserver::cli
