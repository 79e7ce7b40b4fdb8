// The memory of a report page: what differs between systems.
#pragma once

#include <cstddef>
#include <string>

#include "sdk/base/unique_fd.h"

namespace forkserver {

// Zeroed memory that a descriptor stands for, close-on-exec. Invalid, with
// errno, when there is none.
UniqueFd MakeReportMemory(const std::string& name, std::size_t bytes);

// Zeroes it from offset `first`, a multiple of the page size, to `bytes`, and
// gives back what it took. False when it could not.
bool GiveBackReportMemory(int fd, std::size_t first, std::size_t bytes);

}  // namespace forkserver
