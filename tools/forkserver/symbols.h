// The functions and source lines of native frames, from the symbols and debug
// information of the modules as they are on disk now. Linux: by libdw, also
// separate debug files; elsewhere the names stay empty. Never asks a network.
#pragma once

#include <forkserver/types.h>

#include <vector>

#include "tools/forkserver/explanation.h"

namespace forkserver::cli {

std::vector<NamedFrame> NameFrames(const std::vector<CrashFrame>& frames);

}  // namespace forkserver::cli
