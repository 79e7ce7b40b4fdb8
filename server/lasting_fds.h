// Where descriptors of many clients are, so that those of a launch have lower
// numbers: a child copies its parent's table up to the last that it needs.
#pragma once

namespace forkserver::server {

inline constexpr int kFirstLastingFd = 256;
// Open only if there are hundreds.
inline constexpr int kManyLastingFds = 512;

}  // namespace forkserver::server
