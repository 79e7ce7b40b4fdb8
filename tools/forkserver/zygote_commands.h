// `zygote start`, `zygote ls`, `zygote stop`. Each function is a whole command
// and returns its exit code.
#pragma once

#include "tools/forkserver/options.h"

namespace forkserver::cli {

int StartZygote(const Options& options);
int ListZygotes(const Options& options);
int StopZygote(const Options& options);

}  // namespace forkserver::cli
