// The shared libraries of a program, before and after it was started.
#pragma once

#include <forkserver/client.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "tools/harness/targets/target.h"

namespace forkserver::harness {

// Those that it would load with this environment, sorted paths. The loader that
// the program names resolves them and does not run the program. Empty for a
// static program, a script, and where there is no such loader (macOS); what is
// loaded later, by dlopen, is not among them. Blocks.
std::vector<std::string> ListLibrariesOf(Client& client,
                                         const std::string& path,
                                         const TargetOptions& options);

// The paths in what the loader prints.
std::vector<std::string> ReadLoaderList(const std::string& text);

// The files whose code a process has mapped, sorted: those of dlopen too. Empty
// where they cannot be read.
std::vector<std::string> ListMappedCode(pid_t pid);

}  // namespace forkserver::harness
