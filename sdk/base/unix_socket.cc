#include "sdk/base/unix_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace forkserver {
namespace {

#ifdef MSG_NOSIGNAL
constexpr int kSendFlags = MSG_NOSIGNAL;
#else
constexpr int kSendFlags = 0;     // macOS: SO_NOSIGPIPE is set on the socket
#endif
#ifdef MSG_CMSG_CLOEXEC
constexpr int kReceiveFlags = MSG_CMSG_CLOEXEC;
#else
constexpr int kReceiveFlags = 0;  // macOS: FD_CLOEXEC is set afterwards
#endif

void PrepareSocket(int fd) {
  SetCloseOnExec(fd);
#ifdef SO_NOSIGPIPE
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof(on));
#endif
}

#ifdef SOCK_CLOEXEC
constexpr int kSocketType = SOCK_STREAM | SOCK_CLOEXEC;
#else
constexpr int kSocketType = SOCK_STREAM;
#endif

sockaddr_un AddressOf(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

}  // namespace

Result<void> CheckSocketPath(const std::string& path) {
  constexpr std::size_t kLimit = sizeof(sockaddr_un::sun_path) - 1;
  if (path.empty() || path.find('\0') != std::string::npos) {
    return MakeError(error_code::kSocketPath,
                     "the socket path is empty or holds a NUL byte",
                     "give an ordinary file path; abstract sockets are not "
                     "supported");
  }
  if (path.size() > kLimit) {
    return MakeError(
        error_code::kSocketPath,
        "the socket path is too long: " + std::to_string(path.size()) +
            " bytes, this system allows " + std::to_string(kLimit) + ": " +
            path,
        "choose a shorter one with --socket or FORKSERVER_SOCKET");
  }
  return {};
}

Result<UniqueFd> ConnectUnixSocket(const std::string& path) {
  if (auto checked = CheckSocketPath(path); !checked) return checked.error();
  UniqueFd fd(::socket(AF_UNIX, kSocketType, 0));
  if (!fd) return SystemError("socket(AF_UNIX)", errno);
  PrepareSocket(fd.get());
  const sockaddr_un address = AddressOf(path);
  int outcome;
  do {
    outcome = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address),
                        sizeof(address));
  } while (outcome < 0 && errno == EINTR);
  if (outcome < 0) return SystemError("connect(" + path + ")", errno);
  return fd;
}

Result<UniqueFd> ListenUnixSocket(const std::string& path, int backlog) {
  if (auto checked = CheckSocketPath(path); !checked) return checked.error();
  UniqueFd fd(::socket(AF_UNIX, kSocketType, 0));
  if (!fd) return SystemError("socket(AF_UNIX)", errno);
  PrepareSocket(fd.get());
  SetNonBlocking(fd.get());
  const sockaddr_un address = AddressOf(path);
  // The mode of the socket file follows the umask at bind(2): no moment at
  // which it is wider than 0600.
  const mode_t old_umask = ::umask(0177);
  const int bound = ::bind(
      fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  const int bind_errno = errno;
  ::umask(old_umask);
  if (bound < 0) return SystemError("bind(" + path + ")", bind_errno);
  if (::listen(fd.get(), backlog) < 0) {
    const int listen_errno = errno;
    ::unlink(path.c_str());
    return SystemError("listen(" + path + ")", listen_errno);
  }
  return fd;
}

Result<SocketPair> MakeSocketPair() {
  int fds[2];
  if (::socketpair(AF_UNIX, kSocketType, 0, fds) < 0) {
    return SystemError("socketpair(AF_UNIX)", errno);
  }
  PrepareSocket(fds[0]);
  PrepareSocket(fds[1]);
  return SocketPair{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

Result<Pipe> MakePipe(bool non_blocking) {
  int fds[2];
#ifdef __linux__
  if (::pipe2(fds, O_CLOEXEC | (non_blocking ? O_NONBLOCK : 0)) < 0) {
    return SystemError("pipe2()", errno);
  }
#else
  if (::pipe(fds) < 0) return SystemError("pipe()", errno);
  SetCloseOnExec(fds[0]);
  SetCloseOnExec(fds[1]);
  if (non_blocking) {
    SetNonBlocking(fds[0]);
    SetNonBlocking(fds[1]);
  }
#endif
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

void SetNonBlocking(int fd) {
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
}

void MoveUp(UniqueFd& fd, int number) {
  UniqueFd moved(::fcntl(fd.get(), F_DUPFD_CLOEXEC, number));
  if (moved) fd = std::move(moved);
}

void SetCloseOnExec(int fd) { ::fcntl(fd, F_SETFD, FD_CLOEXEC); }

long SendWithFds(int socket, const void* data, std::size_t size, const int* fds,
                 std::size_t fd_count) {
  if (fd_count > kMaxFdsPerMessage) return -EINVAL;
  iovec part = {const_cast<void*>(data), size};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxFdsPerMessage)];
  if (fd_count > 0) {
    message.msg_control = control;
    message.msg_controllen = static_cast<decltype(message.msg_controllen)>(
        CMSG_SPACE(sizeof(int) * fd_count));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = static_cast<decltype(header->cmsg_len)>(
        CMSG_LEN(sizeof(int) * fd_count));
    std::memcpy(CMSG_DATA(header), fds, sizeof(int) * fd_count);
  }
  ssize_t sent;
  do {
    sent = ::sendmsg(socket, &message, kSendFlags);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

Received ReceiveWithFds(int socket, void* data, std::size_t size,
                        std::vector<UniqueFd>& fds) {
  iovec part = {data, size};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxFdsPerMessage)];
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t size_received;
  do {
    size_received = ::recvmsg(socket, &message, kReceiveFlags);
  } while (size_received < 0 && errno == EINTR);
  Received received;
  if (size_received < 0) {
    received.size = -errno;
    return received;
  }
  received.size = size_received;
  received.fds_lost = (message.msg_flags & MSG_CTRUNC) != 0;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
      continue;
    }
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      if (kReceiveFlags == 0) SetCloseOnExec(fd);
      fds.emplace_back(fd);
    }
  }
  return received;
}

}  // namespace forkserver
