// A zygote program that was started by hand: runs one entry in this process.
#pragma once

#include "sdk/cpp/zygote_registry.h"

namespace forkserver {

// Parses the command line and does what it says. Returns the exit code for
// main: the entry's, or 2 for a wrong command line.
int RunByHand(int argc, char** argv, const ZygoteRegistry& registry);

}  // namespace forkserver
