// The set-up of a child that a zygote forked: what a forked worker and a
// zygote forked from a zygote have in common.
//
// Runs in the child, which has one thread and may allocate. It never returns
// to the parent's code on failure: the caller reports the error and leaves by
// _exit.
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
  std::vector<UniqueFd> fds;
};

// What a child uses of the zygote that it was forked from; all borrowed.
struct ForkParent {
  pid_t pid;
  int report_fd;
  int null_fd;
  const FrozenEnvironment& frozen;
  const ZygoteRegistry& registry;
  ZygoteSignals& signals;
};

// Descriptors of the child's own that survive its set-up, close-on-exec, under
// other numbers; -1: none. Where there is no second one, the result descriptor
// of the setup becomes it.
struct KeptFds {
  int first = -1;
  int second = -1;
};

// Group, descriptors, umask, niceness, limits, working directory. `received`
// are those that the setup may place. Afterwards every descriptor but the
// placed and the kept ones is closed, also on failure where it got that far:
// whoever owns one must release it.
Result<void> ApplySetup(const protocol::Setup& setup,
                        const std::vector<UniqueFd>& received,
                        const ResourceLimits& limits, int null_fd,
                        KeptFds& kept);

// "stale_environment" if `setup` wants another value of a frozen variable.
Result<void> CheckFrozen(const FrozenEnvironment& frozen,
                         const protocol::Setup& setup);

// Makes `environment` the whole environment of this process.
void ReplaceEnvironment(std::vector<std::string> environment);

}  // namespace forkserver
