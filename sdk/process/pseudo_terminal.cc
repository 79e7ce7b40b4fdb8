#include "sdk/process/pseudo_terminal.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>

#include "sdk/base/unix_socket.h"

namespace forkserver {

Result<PseudoTerminal> PseudoTerminal::Make(const winsize& size) {
  PseudoTerminal made;
  // O_CLOEXEC is not for posix_openpt everywhere.
  made.our_side = UniqueFd(::posix_openpt(O_RDWR | O_NOCTTY));
  if (!made.our_side) return SystemError("posix_openpt()", errno);
  const int fd = made.our_side.get();
  SetCloseOnExec(fd);
  if (::grantpt(fd) != 0) return SystemError("grantpt()", errno);
  if (::unlockpt(fd) != 0) return SystemError("unlockpt()", errno);
  const char* const name = ::ptsname(fd);
  if (name == nullptr) return SystemError("ptsname()", errno);
  made.worker_side = UniqueFd(::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!made.worker_side) {
    return SystemError("open(" + std::string(name) + ")", errno);
  }
  if (::ioctl(fd, TIOCSWINSZ, &size) != 0) {
    return SystemError("ioctl(TIOCSWINSZ)", errno);
  }
  return made;
}

}  // namespace forkserver
