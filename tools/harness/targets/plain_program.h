// A program of no framework: it is one test. Exit code 0 is a pass, 77 a skip,
// as automake and others have it, and everything else a failure.
#pragma once

#include <memory>
#include <string>

#include "tools/harness/targets/target.h"

namespace forkserver::harness {

// `path` is absolute.
std::unique_ptr<Target> MakePlainProgram(std::string label, std::string path,
                                         TargetOptions options);

}  // namespace forkserver::harness
