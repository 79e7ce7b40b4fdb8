// Where forkserverd is. Stateless.
#pragma once

#include <forkserver/result.h>

#include <string>

namespace forkserver::cli {

// The first forkserverd that can be executed, where the SDK looks too: the
// folder FORKSERVER_BIN, those of PATH, the one of this program, ~/.local/bin.
Result<std::string> FindDaemon();

}  // namespace forkserver::cli
