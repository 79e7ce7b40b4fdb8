// What is said where the daemon is of another version than this command.
#pragma once

#include <forkserver/client.h>

#include <string>

namespace forkserver::cli {

// One sentence with what to do, or empty if the two are the same or the
// daemon's is not known.
std::string DescribeVersionSkew(const std::string& daemon_version);

// Says it on standard error, once in a process.
void TellVersionSkew(const Client& client);

}  // namespace forkserver::cli
