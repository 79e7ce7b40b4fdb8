#include "tools/forkserver/connect.h"

#include <forkserver/version.h>

#include <cerrno>

#include "tools/forkserver/version_skew.h"

namespace forkserver::cli {
namespace {

ConnectOptions Prepare(const Options& options) {
  ConnectOptions connect;
  connect.socket_path = options.socket;
  connect.client_name = std::string("forkserver-cli ") + kVersion;
  return connect;
}

Result<Client> TellSkew(Result<Client> client) {
  if (client) TellVersionSkew(*client);
  return client;
}

}  // namespace

std::string SocketPath(const Options& options) {
  return options.socket.empty() ? DefaultSocketPath() : options.socket;
}

Result<Client> ConnectOrStart(const Options& options) {
  return TellSkew(Client::Connect(Prepare(options)));
}

Result<Client> ConnectToRunning(const Options& options) {
  return TellSkew(ConnectSilently(options));
}

Result<Client> ConnectSilently(const Options& options) {
  ConnectOptions connect = Prepare(options);
  connect.start_daemon = false;
  Result<Client> client = Client::Connect(connect);
  if (client || !IsAbsent(client.error())) return client;
  Error error = client.error();
  error.message = "no daemon serves " + SocketPath(options);
  error.hint = "start one with `forkserver daemon start`";
  return error;
}

bool IsAbsent(const Error& error) {
  return error.code == error_code::kConnectFailed &&
         (error.error_number == ENOENT || error.error_number == ECONNREFUSED);
}

}  // namespace forkserver::cli
