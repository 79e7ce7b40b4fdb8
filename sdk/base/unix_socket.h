// Unix stream sockets that carry descriptors: connect, listen, send, receive.
//
// Passive and stateless. Nothing here blocks unless the socket itself does.
// EINTR is retried. Every descriptor made or received is close-on-exec.
#pragma once

#include <forkserver/result.h>

#include <cstddef>
#include <string>
#include <vector>

#include "sdk/base/unique_fd.h"

namespace forkserver {

// As many descriptors as one message of the kernel can carry (SCM_MAX_FD).
inline constexpr std::size_t kMaxFdsPerMessage = 253;

// Fails with code "socket_path" when `path` is empty, holds a NUL byte or does
// not fit sockaddr_un (107 bytes on Linux, 103 on macOS).
Result<void> CheckSocketPath(const std::string& path);

// A connected, blocking socket. The error's number is that of connect(2).
Result<UniqueFd> ConnectUnixSocket(const std::string& path);

// Bound and listening, non-blocking, mode 0600. The path must not exist.
Result<UniqueFd> ListenUnixSocket(const std::string& path, int backlog);

struct SocketPair {
  UniqueFd first;
  UniqueFd second;
};
Result<SocketPair> MakeSocketPair();

struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
};
// A pipe with both ends close-on-exec (two steps on macOS, which has no pipe2;
// safe there because the daemon and zygotes have one thread).
Result<Pipe> MakePipe(bool non_blocking = false);

// To the first free number from `number` up, close-on-exec; where it is if
// there is none.
void MoveUp(UniqueFd& fd, int number);

void SetNonBlocking(int fd);
void SetCloseOnExec(int fd);

// One sendmsg(2). `fds` are borrowed and ride on the first byte. Returns the
// bytes sent, or -errno; never raises SIGPIPE.
long SendWithFds(int socket, const void* data, std::size_t size, const int* fds,
                 std::size_t fd_count);

struct Received {
  long size = 0;          // bytes, 0 at end of file, or -errno
  bool fds_lost = false;  // the kernel dropped descriptors (MSG_CTRUNC)
};

// One recvmsg(2) into `data`; descriptors received are appended to `fds`.
Received ReceiveWithFds(int socket, void* data, std::size_t size,
                        std::vector<UniqueFd>& fds);

}  // namespace forkserver
