// A service of s6 that is started once at a time, as `s6-svc -o` does it, by
// the fastest client that there can be: one that has the control pipe open and
// listens to the service's events itself.
#pragma once

#include <forkserver/result.h>

#include <string>

#include "sdk/base/unique_fd.h"
#include "tools/benchmark/command.h"

namespace forkserver::benchmark {

class S6Service {
 public:
  // s6-supervise on a service folder of its own, whose `run` is `program`.
  // It goes below /dev/shm where there is one: s6 wants service folders on a
  // RAM filesystem. Returns when the supervisor is there.
  static Result<S6Service> Start(const std::string& supervise,
                                 const std::string& program);
  S6Service(S6Service&&) = default;
  S6Service& operator=(S6Service&&) = delete;
  ~S6Service();  // kills the supervisor, removes the folder

  // Returns when the supervisor has said that the service is down again.
  Result<void> RunToExit();

 private:
  S6Service(std::string folder, UniqueFd events, Helper supervisor);
  static Result<void> AwaitEvent(int events, char event);

  std::string folder_;
  UniqueFd events_;
  UniqueFd control_;
  Helper supervisor_;
};

}  // namespace forkserver::benchmark
