// Reading the command line. The only includer of CLI11, whose exceptions stop
// here.
#pragma once

#include "tools/forkserver/command_table.h"
#include "tools/forkserver/options.h"

namespace forkserver::cli {

struct CommandLine {
  // Null when there is nothing to run: help, the version or a usage error has
  // been printed, and `exit_code` is that of the process.
  const Command* command = nullptr;
  int exit_code = 0;
  Options options;
};

CommandLine ParseCommandLine(int argc, char** argv);

}  // namespace forkserver::cli
