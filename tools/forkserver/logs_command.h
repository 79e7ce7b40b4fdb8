// `forkserver logs`: shows what a service wrote.
#pragma once

#include "tools/forkserver/options.h"

namespace forkserver::cli {

int ShowLogs(const Options& options);

}  // namespace forkserver::cli
