// Writing a whole text to a descriptor.
#pragma once

#include <cstdint>
#include <string_view>

namespace forkserver {

// 0, or the errno of what failed. Goes on after signals and short writes, and
// waits where the descriptor would block.
int WriteAll(int fd, std::string_view text);
// At an offset of a file.
int WriteAllAt(int fd, std::string_view text, std::uint64_t offset);

}  // namespace forkserver
