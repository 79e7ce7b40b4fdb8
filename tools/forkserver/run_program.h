// Runs another program in the foreground, with the streams and the environment
// of this one, and waits for its end.
#pragma once

#include <forkserver/result.h>

#include <string>
#include <vector>

namespace forkserver::cli {

// Its exit code, or kSignalBase + n. `words[0]` without a slash is looked for
// in PATH. Error "system" if it cannot be run.
Result<int> RunProgram(std::vector<std::string> words);

}  // namespace forkserver::cli
