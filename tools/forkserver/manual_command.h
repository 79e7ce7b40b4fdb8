// `forkserver manual`: the page forkserver(1), of what the command line itself
// knows. tools/package keeps what it prints.
#pragma once

#include <string>

#include "tools/forkserver/options.h"

namespace forkserver::cli {

int PrintManual(const Options& options);

// The page as mdoc(7).
std::string FormatManual(const Manual& manual);

}  // namespace forkserver::cli
