// `forkserver metrics`: the daemon, its zygotes and services in numbers, as
// OpenMetrics text.
#pragma once

#include <forkserver/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "tools/forkserver/options.h"

namespace forkserver::cli {

int PrintMetrics(const Options& options);

// The text; `memory` says how much the process of a service takes, in bytes of
// PSS, or nothing.
using MemoryOf = std::optional<std::int64_t> (*)(std::int64_t pid);
std::string FormatMetrics(const DaemonStatus& status, const Snapshot& snapshot,
                          MemoryOf memory);

}  // namespace forkserver::cli
