// What is told of a run while it goes on. A reporter turns it into lines on a
// terminal, or a file. Passive; called from the one thread of the harness, and
// should not block for long. What is passed is valid during the call, except
// the plan, which lives until OnRunEnded has returned.
#pragma once

#include <forkserver/result.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tools/harness/model/test_model.h"

namespace forkserver::harness {

// A test that runs now.
struct RunningTest {
  std::size_t test = 0;
  int attempt = 1;
  int slot = 0;
  std::int64_t begun_ns = 0;
  std::int64_t elapsed_us = 0;  // without the time that the run was stopped
  bool slow = false;
  // Its output so far; filled for OnShowRunning only.
  CapturedText out;
  CapturedText err;
};

class Reporter {
 public:
  virtual ~Reporter() = default;

  // Before the tests are known.
  virtual void OnTargetReady(const TargetReady&) {}
  virtual void OnRunBegan(const RunPlan&) {}
  virtual void OnAttemptStarted(const RunningTest&) {}
  // It has run for longer than --slow-after. Once per attempt.
  virtual void OnAttemptSlow(const RunningTest&) {}
  // Of --no-capture: output as it comes. `stream` is 1 or 2.
  virtual void OnOutput(const RunningTest&, int /*stream*/,
                        std::string_view /*text*/) {}
  // `last`: it will not be tried again, OnTestEnded follows.
  virtual void OnAttemptEnded(std::size_t /*test*/, const Attempt&,
                              bool /*last*/) {}
  virtual void OnTestEnded(const TestResult&) {}
  // A few times a second while tests run.
  virtual void OnTick(std::int64_t /*now_ns*/,
                      const std::vector<RunningTest>&) {}
  // Somebody pressed `t`, or sent SIGUSR1.
  virtual void OnShowRunning(const std::vector<RunningTest>&) {}
  // The process is about to be stopped (SIGTSTP); goes on after it.
  virtual void OnSuspend() {}
  virtual void OnResume() {}
  // Something beside the tests, for a person: a message of one line.
  virtual void OnWarning(const std::string&) {}
  // The end: what is open is written. An error becomes part of the summary of
  // the reporters that are told later, and of the exit code.
  virtual Result<void> OnRunEnded(const RunSummary&) { return {}; }
};

}  // namespace forkserver::harness
