// How a run of a service says that it is ready and alive: by a line on a
// descriptor of its own, or by datagrams to NOTIFY_SOCKET. Passive, never
// blocks.
#pragma once

#include <forkserver/result.h>
#include <forkserver/service_types.h>

#include <optional>
#include <string>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/protocol/messages.h"
#include "sdk/protocol/upgrade_messages.h"
#include "server/handed_fds.h"

namespace forkserver::server {

class Readiness {
 public:
  Readiness() = default;
  Readiness(Readiness&&) noexcept = default;
  Readiness& operator=(Readiness&& other) noexcept;
  ~Readiness();

  // For one run: adds to what its worker is to be (environment, descriptors)
  // what it needs to speak here. `socket_path` is where its NOTIFY_SOCKET is
  // made, if it needs one; a file that is there is replaced.
  static Result<Readiness> Prepare(const ServicePolicy& policy,
                                   const std::string& socket_path,
                                   protocol::Setup& setup,
                                   std::vector<UniqueFd>& fds);

  // For a program that replaces this one, in the same process.
  static Readiness Resume(protocol::HandedReadiness handed);
  protocol::HandedReadiness WriteDown(HandedFds& fds) const;

  // To be polled for reading; -1: there is none.
  int pipe() const { return pipe_.get(); }
  int socket() const { return socket_.get(); }

  struct Said {
    bool ready = false;
    bool alive = false;   // WATCHDOG=1
    bool silent = false;  // WATCHDOG=trigger: it gives itself up
    std::optional<std::string> status;
  };
  // What it has said since the last call.
  Said Read();
  // The pipe will say nothing more: stop polling it, and close it.
  bool pipe_is_done() const { return pipe_ && pipe_is_done_; }
  void ClosePipe() { pipe_.Reset(); }

 private:
  void ReadPipe(Said& said);
  void ReadSocket(Said& said);

  UniqueFd pipe_;
  bool pipe_is_done_ = false;
  UniqueFd socket_;
  std::string socket_path_;
};

// NAME of an environment.
void RemoveVariable(std::vector<std::string>& env, const std::string& name);
// NAME=value of an environment, replaced or added.
void SetVariable(std::vector<std::string>& env, const std::string& name,
                 const std::string& value);

}  // namespace forkserver::server
