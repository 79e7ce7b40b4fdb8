// Where a project's runs leave what the next one wants to know.
#pragma once

#include <forkserver/result.h>

#include <string>

namespace forkserver::harness {

// $XDG_CACHE_HOME/forkserver/tests/DIGEST, of the project's root; made if it
// is not there. Empty where there is no home. Errors of the file system.
Result<std::string> StateFolder(const std::string& root);

}  // namespace forkserver::harness
