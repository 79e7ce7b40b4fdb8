#include "sdk/cpp/connect.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "sdk/base/unix_socket.h"
#include "sdk/cpp/start_daemon.h"
#include "sdk/process/socket_path.h"

namespace forkserver {
namespace {

struct Attempt {
  Result<std::unique_ptr<Connection>> connection;
  // No daemon serves the socket, or it is about to go.
  bool absent = false;
};

Attempt Try(const std::string& socket_path, const ConnectOptions& options,
            const Deadline& deadline) {
  Result<UniqueFd> socket = ConnectUnixSocket(socket_path);
  if (!socket) {
    Error error = socket.error();
    const int number = error.error_number;
    if (error.code == error_code::kSystem) {
      error.code = error_code::kConnectFailed;
    }
    return {std::move(error), number == ENOENT || number == ECONNREFUSED};
  }
  auto connection = Connection::Open(*std::move(socket), socket_path,
                                     options.client_name, deadline);
  // A daemon that is stopping may still have accepted us.
  const bool absent =
      !connection && (connection.error().code == error_code::kConnectionLost ||
                      connection.error().code == error_code::kDaemonStopping);
  return {std::move(connection), absent};
}

}  // namespace

Result<std::unique_ptr<Connection>> ConnectToDaemon(
    const ConnectOptions& options) {
  const std::string path = FindSocketPath(options.socket_path);
  if (auto checked = CheckSocketPath(path); !checked) return checked.error();
  const Deadline deadline = Deadline::After(options.start_timeout);
  int pause_ms = 10;
  while (true) {
    Attempt attempt = Try(path, options, deadline);
    if (attempt.connection || !attempt.absent) {
      return std::move(attempt.connection);
    }
    if (!options.start_daemon) {
      Error error = attempt.connection.error();
      error.hint =
          "no daemon serves this socket: start one with `forkserverd "
          "--socket " +
          path + "`";
      return error;
    }
    if (deadline.Passed()) return attempt.connection.error();
    if (auto started =
            StartDaemon(options.daemon_program, path, options.daemon_idle_exit,
                        deadline, options.daemon_keeps_surroundings);
        !started) {
      return started.error();
    }
    // Usually it serves now. If not (it was killed, or another one is just
    // stopping), do not start daemons in a busy loop.
    attempt = Try(path, options, deadline);
    if (attempt.connection || !attempt.absent) {
      return std::move(attempt.connection);
    }
    (void)::poll(nullptr, 0, std::min(pause_ms, deadline.PollTimeout()));
    pause_ms = std::min(pause_ms * 2, 1000);
  }
}

}  // namespace forkserver
