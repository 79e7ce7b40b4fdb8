// What a forked worker and a zygote forked from a zygote have in common.
#pragma once

#include <forkserver/result.h>
#include <forkserver/types.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/cpp/frozen_environment.h"
#include "sdk/cpp/zygote_registry.h"
#include "sdk/cpp/zygote_signals.h"
#include "sdk/protocol/messages.h"

namespace forkserver {

// What was asked for.
struct ForkRequest {
  std::string worker;
  protocol::Bytes setup;
  ResourceLimits limits;
  bool detach = false;
  bool canary = false;
  pid_t heir = 0;  // not 0: see protocol::ForkWorker
  std::vector<UniqueFd> fds;
  UniqueFd cgroup;  // see protocol::ForkWorker
};

// `fds`: those of the frame.
ForkRequest MakeForkRequest(protocol::ForkWorker body,
                            std::vector<UniqueFd> fds);
ForkRequest MakeForkRequest(protocol::ForkZygote body,
                            std::vector<UniqueFd> fds);

// What a child uses of the zygote that it was forked from; all borrowed.
struct ForkParent {
  pid_t pid;
  int report_fd;
  int null_fd;
  const FrozenEnvironment& frozen;
  const ZygoteRegistry& registry;
  ZygoteSignals& signals;
  const std::vector<int>& kept_fds;  // ascending
};

// "stale_environment" if `setup` wants another value of a frozen variable.
Result<void> CheckFrozen(const FrozenEnvironment& frozen,
                         const protocol::Setup& setup);

// Whether these variables ask for another TZ than this process has. libc reads
// it once: who replaces the environment calls tzset(3) then.
bool ChangesTimeZone(const std::vector<std::string>& environment);

// Makes `environment` the whole environment of this process.
void ReplaceEnvironment(std::vector<std::string> environment);

}  // namespace forkserver
