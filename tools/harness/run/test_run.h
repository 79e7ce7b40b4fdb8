// A run of `forkserver test`, from its settings to the exit code: a list of
// named steps. Blocks until it is over.
#pragma once

#include <forkserver/result.h>

#include <functional>
#include <string>

#include "tools/harness/plan/options.h"
#include "tools/harness/plan/settings.h"
#include "tools/harness/run/fan_out.h"

namespace forkserver::harness {

// How the run is told to people and machines.
using MakeReporters =
    std::function<Result<void>(const Settings& settings, FanOut& reporters)>;

struct TestRunRequest {
  TestOptions options;
  std::string socket;  // --socket; empty: the session's
  bool json = false;
  MakeReporters make_reporters;
  // For what has no reporter yet, and for what stops the run.
  std::function<void(const std::string&)> print_error;
  // To standard output, as it is.
  std::function<void(const std::string&)> print;
};

// The exit code: 0 all passed, 1 failures, 2 usage, 4 no tests, 125
// infrastructure, 130 interrupted.
int RunTests(const TestRunRequest& request);

}  // namespace forkserver::harness
