// The forkserverd of a run: that of the session where one serves, otherwise a
// private one that ends with the run.
//
// A private daemon serves a socket in a folder of its own and ends by itself a
// moment after its only client is gone, however that went. Blocks while it
// connects, starts and ends daemons.
#pragma once

#include <forkserver/client.h>
#include <forkserver/result.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>

namespace forkserver::harness {

struct DaemonChoice {
  std::string socket_path;  // empty: the session's
  bool must_serve = false;  // it was named: none beside it will do
  bool always_private = false;
  std::string private_folder;  // for the socket of a private one; exists
};

class RunDaemon {
 public:
  static Result<RunDaemon> Connect(DaemonChoice choice);
  RunDaemon(RunDaemon&&) = default;
  RunDaemon& operator=(RunDaemon&&) = delete;
  // Ends a private daemon, and waits for it for some seconds.
  ~RunDaemon();

  // Stays at the same address, also when it is connected anew.
  Client& client() { return *client_; }
  bool is_private() const { return private_; }
  pid_t pid() const { return pid_; }

  // A private one: it ends with all that it has, now. Its connection may be
  // lost.
  void EndAtOnce();

  // After a lost connection: to the same daemon if it still serves, or to a
  // new private one.
  Result<void> Reconnect();

 private:
  explicit RunDaemon(DaemonChoice choice) : choice_(std::move(choice)) {}
  Result<void> ConnectToAny();
  Result<void> Learn();

  DaemonChoice choice_;
  std::optional<Client> client_;
  bool private_ = false;
  int started_ = 0;  // private ones
  pid_t pid_ = 0;
};

}  // namespace forkserver::harness
