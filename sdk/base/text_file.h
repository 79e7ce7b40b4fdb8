// Whole small files. Stateless; blocks as long as the file system does.
#pragma once

#include <forkserver/result.h>

#include <string>
#include <string_view>

namespace forkserver {

// Replaces a file, of mode 0600, at once: whoever reads it sees the old or the
// new one. After a loss of power it may be empty.
Result<void> ReplaceFile(const std::string& path, std::string_view text);

// The text of a file, empty if there is none.
Result<std::string> ReadTextFile(const std::string& path);

}  // namespace forkserver
