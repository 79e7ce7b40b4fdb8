// From what is known of a worker's end to the verdict on each of its tests.
// Pure functions.
//
// A pass needs two witnesses that agree: the framework, which says that
// exactly this test passed and that it has returned in order, and the wait
// status of the process.
#pragma once

#include <forkserver/result.h>
#include <forkserver/types.h>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "tools/harness/model/test_model.h"
#include "tools/harness/plan/rules.h"
#include "tools/harness/targets/target.h"

namespace forkserver::harness {

// All that is known when a worker has ended, or could not be made.
struct WorkerEnd {
  std::optional<Error> launch_error;  // it was not made
  std::optional<ExitRecord> record;
  FrameworkReport report;  // one word for each test
  // The harness ended it: the text says what was exceeded, "30s".
  std::string timed_out_after;
  // The harness ended it for reasons of its own: the run is over.
  bool cancelled = false;
  // What it left behind: processes, open streams.
  std::vector<std::string> leaked;
  LeakPolicy leaks = LeakPolicy::kFail;
};

struct Judgement {
  enum class Outcome {
    kVerdict,
    // It had not begun when another test ended the worker.
    kNotBegun,
    // The worker was lost with its zygote or daemon, which says nothing about
    // the test.
    kLost,
    // The harness ended it.
    kCancelled,
  };
  Outcome outcome = Outcome::kVerdict;
  // Of kVerdict, and of kLost if it is not tried again.
  Verdict verdict = Verdict::kInfrastructure;
  std::string reason;
};

// One for each of the worker's `tests`, in their order.
std::vector<Judgement> Judge(const WorkerEnd& end, std::size_t tests);

// Whether the error of a launch says that the zygote or the daemon is gone.
bool IsLoss(const Error& error);
bool IsConnectionLoss(const Error& error);

// "SIGSEGV at address 0x8", "exit code 3".
std::string DescribeEnd(const ExitRecord& record);

// Of all attempts of a test, which has one at least.
Verdict JoinVerdicts(const std::vector<Attempt>& attempts);

// Whether it is worth another attempt: not passed, not skipped.
bool IsUnsuccessful(Verdict verdict);

}  // namespace forkserver::harness
