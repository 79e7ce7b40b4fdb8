// `forkserver doctor`: is this safe to fork? Of this session, the daemon or
// any process.
#pragma once

#include "tools/forkserver/options.h"

namespace forkserver::cli {

int RunDoctor(const Options& options);

}  // namespace forkserver::cli
