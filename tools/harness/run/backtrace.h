// Where a worker was when it ended, as lines for a person.
#pragma once

#include <forkserver/types.h>

#include <string>
#include <vector>

#include "tools/forkserver/symbols.h"

namespace forkserver::harness {

// Keeps the debug information of the modules that it has read, so that many
// crashes of one program cost little more than one. Blocks while it reads them.
class Backtraces {
 public:
  // Python's traceback, then the native frames, innermost first; or the stacks
  // that the daemon saw. Empty if nobody left word.
  std::vector<std::string> Describe(const ExitRecord& record);

 private:
  cli::Symbols symbols_;
};

}  // namespace forkserver::harness
