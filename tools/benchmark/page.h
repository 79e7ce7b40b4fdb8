// `--html FILE`: the figures as one page that needs nothing else. Drawn here;
// its script only switches the theme.
#pragma once

#include <forkserver/result.h>

#include <string>

#include "tools/benchmark/figures.h"

namespace forkserver::benchmark {

// Replaces the file in one step.
Result<void> WritePage(const std::string& path, const Figures& figures);

}  // namespace forkserver::benchmark
