// Tests, attempts, verdicts: what every part of the harness speaks of. Plain
// values. Times: _ns monotonic nanoseconds, _us microseconds.
#pragma once

#include <forkserver/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/protocol/test_messages.h"

namespace forkserver::harness {

// pass            the framework said so, for exactly this test
// fail            the framework said so
// skip            the framework, or the harness, did not run it
// crash           it ended before the framework had spoken: by a signal, by an
//                 exit of its own
// timeout         it took longer than it may
// leak            it passed, and left a process or an open stream behind
// flaky           it failed, and passed when it was tried again
// infrastructure  it could not be run, and that is not its fault
enum class Verdict {
  kPass,
  kFail,
  kSkip,
  kCrash,
  kTimeout,
  kLeak,
  kFlaky,
  kInfrastructure,
};
// "pass", "fail", ...
std::string_view NameOf(Verdict verdict);

// A test of this run. `id` is target + "::" + name and names it everywhere:
// in filters, reports and the store of durations.
struct TestCase {
  std::string id;
  std::string target;  // label of its target
  protocol::ListedTest listed;
  const std::string& name() const { return listed.name; }
};

// Text that a test wrote, bounded: its beginning and its end.
struct CapturedText {
  std::string head;
  std::uint64_t dropped_bytes = 0;  // between head and tail
  std::string tail;
  // The whole, with a line that says what is missing in the middle.
  std::string ToString() const;
  bool empty() const { return head.empty(); }
};

// One run of one test.
struct Attempt {
  int number = 1;  // 1 is the first
  Verdict verdict = Verdict::kInfrastructure;
  // For a person, one line: "SIGSEGV at address 0x8", "exited early with code
  // 0", "exceeded 30s". Empty for a pass.
  std::string reason;
  int slot = 0;
  std::int64_t begun_ns = 0;  // asked for
  std::int64_t ended_ns = 0;  // all known
  std::int64_t wall_us = 0;   // of the test itself, as far as it is known
  std::string skip_reason;
  std::vector<protocol::TestFailure> failures;  // the framework's words
  CapturedText out;
  CapturedText err;
  std::vector<std::string> leaked;  // "4711 sleep 100", "its standard output"
  std::vector<std::string> backtrace;  // lines, innermost first
  std::optional<ExitRecord> exit;      // of the worker; absent: none was made
};

struct TestResult {
  std::size_t test = 0;                        // index into RunPlan::tests
  Verdict verdict = Verdict::kInfrastructure;  // of all attempts together
  std::vector<Attempt> attempts;
  const Attempt& last() const { return attempts.back(); }
};

// What is to be run.
struct RunPlan {
  std::string run_id;  // unique, for names of files
  std::int64_t begun_unix_ms = 0;
  int slots = 1;
  std::int64_t seed = 0;        // of --shuffle, 0: none
  std::vector<TestCase> tests;  // in the order in which they start
  // Wall time of each when it ran last, 0: unknown. As long as `tests`.
  std::vector<std::int64_t> last_wall_us;
  int repeat = 1;                  // results that each test will have
  std::vector<std::string> notes;  // "3 of 10 shards", for a person
};

// A target that was made ready.
struct TargetReady {
  std::string label;
  std::string framework;  // doctest gtest catch2 unittest pytest program
  bool warm = false;      // its tests are forked from a zygote
  std::size_t tests = 0;  // that it has, before filters
  std::int64_t begun_ns = 0;
  std::int64_t ended_ns = 0;
  std::vector<std::string> why;  // why its zygote was made anew, or not
  std::vector<std::string> errors;
};

struct RunSummary {
  std::size_t planned = 0;  // results that there should be
  std::size_t passed = 0;   // flaky included
  std::size_t failed = 0;   // fail
  std::size_t skipped = 0;
  std::size_t crashed = 0;
  std::size_t timed_out = 0;
  std::size_t leaked = 0;
  std::size_t flaky = 0;
  std::size_t infrastructure = 0;
  std::size_t not_run = 0;  // stopped before they began
  std::int64_t wall_us = 0;
  bool interrupted = false;
  std::string stopped_because;  // "--fail-fast", or empty
  // Of targets, of reports: what went wrong beside the tests.
  std::vector<std::string> errors;
  int exit_code = 0;
};

}  // namespace forkserver::harness
