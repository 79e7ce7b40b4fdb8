// `forkserver top`: what services, workers and zygotes take, live.
#pragma once

#include "tools/forkserver/options.h"

namespace forkserver::cli {

// In a terminal until `q`, the end of the daemon or a signal; elsewhere once.
// Whatever ends it, the terminal is as it was before.
int ShowTop(const Options& options);

}  // namespace forkserver::cli
