// Where an exec worker writes down how it crashed: a file in memory, and
// libforkserver_crash preloaded into its program. Only for workers whose
// request has `crash_report`. Linux; elsewhere nothing happens.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/protocol/messages.h"

namespace forkserver::server {

// Adds the file to `setup` and `fds` as descriptor `number`, and the library,
// which is looked for beside this program, to the environment. Returns what
// ReadCrashFile reads; invalid, and nothing is changed, if there is no library.
UniqueFd PlaceCrashFile(std::int64_t number, protocol::Setup& setup,
                        std::vector<UniqueFd>& fds);

// The text of sdk/process/crash_handler.h, empty if there is none.
std::string ReadCrashFile(const UniqueFd& file);

}  // namespace forkserver::server
