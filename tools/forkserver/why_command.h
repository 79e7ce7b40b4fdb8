// `forkserver why`: how a worker ended, and what can be said about it.
#pragma once

#include "tools/forkserver/options.h"

namespace forkserver::cli {

int ExplainWorker(const Options& options);

}  // namespace forkserver::cli
