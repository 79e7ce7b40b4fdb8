// `forkserver test`.
#pragma once

#include "tools/forkserver/options.h"

namespace forkserver::cli {

// Lists and runs tests, each in a worker of its own. The exit codes are in
// its help.
int RunTestCommand(const Options& options);

}  // namespace forkserver::cli
