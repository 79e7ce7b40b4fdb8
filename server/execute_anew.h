// Executing this program once more, in the same process: what a strange parent
// put into it by its environment (preloaded libraries, settings of malloc, a
// megabyte of variables) or its personality is gone then.
#pragma once

#include <forkserver/result.h>

#include <string>
#include <vector>

namespace forkserver::server {

// Those of `variables` that forkserverd itself, or the loader on its behalf,
// has a use for: who the user is, where the session's folders are,
// FORKSERVER_*, LD_LIBRARY_PATH, LISTEN_*, settings of sanitizers.
std::vector<std::string> KeepNeededVariables(const char* const* variables);

// Returns in the second execution, with those variables as the environment;
// or in the first, with an error, if this program cannot be executed.
Result<void> ExecuteAnew(char** argv);

}  // namespace forkserver::server
