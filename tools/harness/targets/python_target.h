// Python tests: a file, a folder, a dotted name, or FILE::NAME, of unittest or
// pytest. Its zygote has loaded them; each test is forked from there.
#pragma once

#include <forkserver/result.h>

#include <memory>
#include <string>

#include "tools/harness/targets/target.h"

namespace forkserver::harness {

// Whether `path` is one: a *.py file, a folder, FILE.py::NAME, or, where there
// is no such file, words with dots between them. Looks at the disk.
bool IsPythonTarget(const std::string& path);

// Errors: there is no such file.
Result<std::unique_ptr<Target>> MakePythonTarget(const std::string& path,
                                                 const TargetOptions& options);

}  // namespace forkserver::harness
