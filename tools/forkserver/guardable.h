// Can a library be preloaded into a program? The two sides are
// guardable_linux.cc and guardable_darwin.cc.
#pragma once

#include <forkserver/result.h>

#include <string>

namespace forkserver::cli {

// The file that `name` stands for, looked up in PATH as execvp does; a script's
// interpreter is looked at too. Error: why no library can be preloaded, or
// that there is no such program (errno tells).
Result<std::string> FindGuardable(const std::string& name);

// What LD_PRELOAD is here.
const char* PreloadVariable();

}  // namespace forkserver::cli
