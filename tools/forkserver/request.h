// From the options of a command line to those of the SDK.
#pragma once

#include <forkserver/client.h>

#include "tools/forkserver/options.h"

namespace forkserver::cli {

// `null_fd`: an open /dev/null, borrowed while the result is in use; a
// detached worker gets it in place of terminals and of output pipes.
SpawnOptions MakeSpawnOptions(const Options& options, int null_fd);
ForkOptions MakeForkOptions(const Options& options, int null_fd);
ServiceOptions MakeServiceOptions(const Options& options);
ZygoteOptions MakeZygoteOptions(const Options& options);

}  // namespace forkserver::cli
