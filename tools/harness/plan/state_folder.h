// Where a project's runs leave what the next one wants to know.
#pragma once

#include <forkserver/result.h>

#include <string>
#include <string_view>

namespace forkserver::harness {

// $XDG_CACHE_HOME/forkserver/tests/DIGEST, of the project's root; made if it
// is not there. Empty where there is no home. Errors of the file system.
Result<std::string> StateFolder(const std::string& root);

// Replaces a file at once: whoever reads it sees the old or the new one.
Result<void> ReplaceFile(const std::string& path, std::string_view text);

// The text of a file, empty if there is none.
Result<std::string> ReadTextFile(const std::string& path);

}  // namespace forkserver::harness
