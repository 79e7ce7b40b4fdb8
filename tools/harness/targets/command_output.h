// Runs a program once as a worker and takes what it writes: for listings.
#pragma once

#include <forkserver/client.h>
#include <forkserver/result.h>

#include <chrono>
#include <string>
#include <vector>

namespace forkserver::harness {

struct Command {
  std::vector<std::string> argv;  // argv[0] absolute
  std::vector<std::string> env;   // complete
  std::string cwd;
  std::chrono::milliseconds timeout{120'000};
};

struct CommandOutput {
  ExitRecord exit;
  std::string out;  // the first 256 MiB
  std::string err;  // the last 4 KiB
};

// Blocks until it has ended. Its standard input is empty. Errors: it cannot be
// started, it took too long.
Result<CommandOutput> RunCommand(Client& client, const Command& command);

// How it ended and the end of what it wrote to standard error, for a message.
std::string DescribeFailure(const CommandOutput& output);

}  // namespace forkserver::harness
