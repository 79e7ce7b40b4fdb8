// One launch through ExecLaunch, from its plan to its end.
#pragma once

#include <forkserver/result.h>
#include <sys/wait.h>

#include <string>
#include <vector>

#include "sdk/process/exec_launch.h"
#include "sdk/protocol/messages.h"

namespace forkserver::testing {

// A plan for `argv` with this process's PATH, in "/", all streams but
// standard output on /dev/null. `output_fd` -1: that one too. Borrows what it
// is given and a descriptor of /dev/null that stays open.
ExecPlan PlanFor(std::vector<std::string> argv, int output_fd = -1);
// The same for a setup of the test's own; `received` are its descriptors.
ExecPlan PlanForSetup(const protocol::Setup& setup,
                      const std::vector<UniqueFd>& received);

// Waits until the launch has answered: no error, the program runs.
Result<void> AwaitStarted(ExecLaunch& launch);

// Reaps `pid`: its exit code, or minus the signal that ended it.
int Reap(pid_t pid);

struct Ended {
  Result<void> started;
  int code = 0;  // as Reap says
  std::string output;
};
// Start, AwaitStarted, read standard output to its end, Reap.
Ended LaunchAndReap(std::vector<std::string> argv, LaunchMethod method);
// The same for any plan that PlanFor or PlanForSetup made; no output.
Ended LaunchAndReap(ExecPlan plan);

}  // namespace forkserver::testing
