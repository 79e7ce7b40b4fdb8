// Starting forkserverd when none serves the socket. Stateless. Never makes a
// second daemon: the daemon itself holds a lock beside its socket.
#pragma once

#include <forkserver/result.h>

#include <chrono>
#include <string>

#include "sdk/cpp/deadline.h"

namespace forkserver {

// Runs `forkserverd --socket PATH --idle-exit TIME`, with
// `--keep-surroundings` if that is asked for, and blocks until it serves
// or another daemon does: connect again. Errors: "connect_failed" when it
// ended otherwise, "timeout".
Result<void> StartDaemon(const std::string& daemon_program,
                         const std::string& socket_path,
                         std::chrono::milliseconds idle_exit,
                         const Deadline& deadline,
                         bool keep_surroundings = false);

}  // namespace forkserver
