#include "sdk/base/unique_fd.h"

#include <unistd.h>

#include <cerrno>

namespace forkserver {

void UniqueFd::Reset(int fd) {
  const int old = std::exchange(fd_, fd);
  if (old < 0) return;
  const int saved_errno = errno;
  // EINTR means closed on Linux and macOS alike: never close twice.
  ::close(old);
  errno = saved_errno;
}

}  // namespace forkserver
