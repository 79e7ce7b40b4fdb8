// Finding a daemon, or starting one, and saying hello. Stateless.
#pragma once

#include <forkserver/client.h>
#include <forkserver/result.h>

#include <memory>

#include "sdk/cpp/connection.h"

namespace forkserver {

// Blocks up to `options.start_timeout`, also for a daemon that is there and
// does not answer. Errors: "socket_path", "connect_failed", "timeout", and
// what the daemon refuses a client with.
Result<std::unique_ptr<Connection>> ConnectToDaemon(
    const ConnectOptions& options);

}  // namespace forkserver
