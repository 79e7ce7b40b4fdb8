// A test program that is run cold: one exec worker for each test, by its
// framework's own flags; the verdict is what its own XML says.
#pragma once

#include <memory>
#include <string>

#include "tools/harness/targets/cold_framework.h"
#include "tools/harness/targets/target.h"

namespace forkserver::harness {

// `path` is absolute.
std::unique_ptr<Target> MakeColdTarget(std::string label, std::string path,
                                       std::unique_ptr<ColdFramework> framework,
                                       TargetOptions options);

}  // namespace forkserver::harness
