// From the options of a call to the setup of a request: fills in what is the
// caller's own (environment, working directory, umask, streams) and checks
// what can be checked without asking the daemon. Passive, stateless; reads
// this process at each call and caches nothing.
#pragma once

#include <forkserver/client.h>
#include <forkserver/result.h>

#include <string>
#include <vector>

#include "sdk/protocol/messages.h"

namespace forkserver {

struct PreparedSetup {
  protocol::Setup setup;
  // The descriptors to send, borrowed; FdPlacement::index points into it.
  std::vector<int> fds;
};

// Errors: "bad_request" (a NUL byte in argv, env or cwd, an unknown limit),
// "bad_descriptor" (a descriptor that is not open), "too_many_descriptors",
// "system" (the working directory is gone).
Result<PreparedSetup> PrepareSetup(const ProcessOptions& options,
                                   const std::vector<std::string>& argv);

// A path from the caller's working directory, as an absolute one; links are not
// resolved. Errors: "bad_request" (empty, a NUL byte) with the option's `name`,
// "system" (the working directory is gone).
Result<std::string> AbsolutePath(const std::string& name,
                                 const std::string& path);

// Error "bad_request": a negative duration, a signal that does not exist.
Result<protocol::Policy> PreparePolicy(const WorkerOptions& options);

// Error "bad_request": no program.
Result<void> CheckProgram(const std::vector<std::string>& argv);

// "path:device:inode:size:mtime_ns" of the program that `setup` would run, or
// empty if there is none: a zygote of a program that was rebuilt must not be
// joined.
std::string FingerprintProgram(const protocol::Setup& setup);

// Error
// "too_many_descriptors": more than one frame can carry.
Result<void> CheckFdCount(std::size_t count);

}  // namespace forkserver
