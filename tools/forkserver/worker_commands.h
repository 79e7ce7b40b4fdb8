// `ps`, `wait`, `kill`, `stop`: workers that are there. None of them starts a
// daemon. Each function is a whole command and returns its exit code.
#pragma once

#include "tools/forkserver/options.h"

namespace forkserver::cli {

int ListWorkers(const Options& options);
int WaitForWorker(const Options& options);
int SignalWorker(const Options& options);
int StopWorker(const Options& options);

}  // namespace forkserver::cli
