// `run` and `fork`: workers with the streams of this process. Each function
// is a whole command and returns its exit code.
#pragma once

#include "tools/forkserver/options.h"

namespace forkserver::cli {

int RunExecWorker(const Options& options);
int RunForkedWorker(const Options& options);

}  // namespace forkserver::cli
