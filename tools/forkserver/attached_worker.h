// A worker that stands in for this process: it has its streams, and gets the
// signals that this process gets.
#pragma once

#include <forkserver/client.h>
#include <forkserver/result.h>

#include <functional>

#include "tools/forkserver/terminal_relay.h"

namespace forkserver::cli {

using LaunchDone = std::function<void(Result<Worker>)>;

// Calls `start`, which calls SpawnAsync or ForkAsync of `client`, and blocks
// until the worker has ended. INT, TERM, HUP and QUIT go to the worker's whole
// group, as often as they come. A second one while it is being launched ends
// this process instead. TSTP stops both until this one is continued.
// `terminal`, or null: the worker's; its worker side is what `start` gives it.
// Returns the exit code of this process, see worker_outcome.h.
int RunAttached(Client& client, TerminalRelay* terminal,
                const std::function<void(LaunchDone)>& start);

}  // namespace forkserver::cli
