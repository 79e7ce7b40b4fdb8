#include "tools/terminal/write_all.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace forkserver {

int WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(fd, text.data(), text.size());
    if (count >= 0) {
      text.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno == EAGAIN) {
      // Somebody else made it so: descriptors are shared between processes.
      pollfd wait = {fd, POLLOUT, 0};
      ::poll(&wait, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

int WriteAllAt(int fd, std::string_view text, std::uint64_t offset) {
  while (!text.empty()) {
    const ssize_t count =
        ::pwrite(fd, text.data(), text.size(), static_cast<off_t>(offset));
    if (count >= 0) {
      text.remove_prefix(static_cast<std::size_t>(count));
      offset += static_cast<std::uint64_t>(count);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace forkserver
