// Where forkserverd is. Stateless.
#pragma once

#include <forkserver/result.h>

#include <string>

namespace forkserver {

// The forkserverd to start: `daemon_program` if it is not empty, else the
// first that can be executed of the folder FORKSERVER_BIN, those of PATH, the
// one of this program, ~/.local/bin. Error "connect_failed", which says where
// it was looked for, and where it is but cannot be executed.
Result<std::string> FindDaemonProgram(const std::string& daemon_program);

}  // namespace forkserver
