// The completion of command lines in shells: the scripts, and what they ask.
#pragma once

#include "tools/forkserver/options.h"

namespace forkserver::cli {

int PrintCompletionScript(const Options& options);

// One candidate a line: the word, a tab, and what it is. Nothing if there is
// none: the shell then completes file names.
int PrintCandidates(const Options& options);

}  // namespace forkserver::cli
