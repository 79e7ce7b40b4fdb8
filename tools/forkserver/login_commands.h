// `enable` and `disable`. Each function is a whole command and returns its exit
// code.
#pragma once

#include "tools/forkserver/options.h"

namespace forkserver::cli {

int EnableAtLogin(const Options& options);
int DisableAtLogin(const Options& options);

}  // namespace forkserver::cli
