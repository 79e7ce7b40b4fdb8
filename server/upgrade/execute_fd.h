// Executing a program that may have no name any more. The two sides are
// execute_fd_linux.cc and execute_fd_darwin.cc.
#pragma once

#include "sdk/base/unique_fd.h"

namespace forkserver::server {

// This program. Call early: on macOS it is found by its name.
UniqueFd OpenOwnProgram();

// Returns only if it fails, with errno.
void ExecuteFd(int program, char* const* argv, char* const* environment);

}  // namespace forkserver::server
