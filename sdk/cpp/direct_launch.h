// One exec worker, launched by this process itself.
#pragma once

#include <forkserver/client.h>
#include <forkserver/result.h>
#include <sys/types.h>

#include <cstdint>

#include "sdk/base/unique_fd.h"

namespace forkserver {

struct DirectProcess {
  pid_t pid = 0;
  UniqueFd process;  // pidfd, or invalid where the system has none
  std::int64_t launched_ns = 0;
  std::int64_t started_ns = 0;
};

// Blocks until the program runs. Nothing is left behind after an error.
// Errors as of Client::Spawn.
Result<DirectProcess> LaunchDirectly(const SpawnOptions& options);

}  // namespace forkserver
