// The functions and source lines of native frames, from the symbols and debug
// information of the modules as they are on disk now. Linux: by libdw, also
// separate debug files; elsewhere the names stay empty. Never asks a network.
#pragma once

#include <forkserver/types.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tools/forkserver/explanation.h"

namespace forkserver::cli {

// Keeps the modules that it has read.
class Symbols {
 public:
  Symbols();
  ~Symbols();

  NamedFrame Name(const CrashFrame& frame);

 private:
  class Module;
  std::map<std::string, std::unique_ptr<Module>> modules_;
};

std::vector<NamedFrame> NameFrames(const std::vector<CrashFrame>& frames);

}  // namespace forkserver::cli
