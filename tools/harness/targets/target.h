// A target: something that contains tests, and how they are listed and run.
// The runner asks it what to launch and what the framework said; it launches,
// watches the clock and captures the output itself.
#pragma once

#include <forkserver/client.h>
#include <forkserver/result.h>

#include <chrono>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "tools/harness/model/test_model.h"

namespace forkserver {
class ReportPage;
}  // namespace forkserver

namespace forkserver::harness {

// What all targets of a run share.
struct TargetOptions {
  // "doctest" "gtest" "catch2" "program" "unittest" "pytest"; empty: found out.
  std::string framework;
  bool cold = false;                 // a program that could be a zygote is none
  std::vector<std::string> env;      // complete, "NAME=value"
  std::string cwd;                   // absolute
  std::vector<std::string> preload;  // preload steps, named warm-ups
  std::string python = "python3";
  std::vector<std::string> arguments;  // further ones for the framework
  std::int64_t seed = 0;
  bool debug = false;
  bool keep_zygote = false;  // it outlives the run: the daemon is not private
  std::string state_directory;  // where fingerprints of kept zygotes are
};

// What one attempt may use. Owned by the runner, which empties it between two
// attempts: `directory` exists and is empty, and the page (see
// sdk/cpp/testing/report_page.h) is the worker's descriptor kReportFd.
struct AttemptFiles {
  std::string directory;
  ReportPage* page = nullptr;
};
inline constexpr int kReportFd = 200;

// The framework's word on one test, as far as it got.
struct FrameworkWord {
  bool begun = false;
  bool ended = false;
  // Of `ended`: passed, failed, skipped.
  std::string status;
  std::string skip_reason;
  std::int64_t wall_us = 0;  // 0: it did not say
  std::vector<protocol::TestFailure> failures;
  // What the framework kept of the streams instead of writing it to them.
  std::string out;
  std::string err;
};
struct FrameworkReport {
  // One for each test that was asked for, in that order.
  std::vector<FrameworkWord> tests;
  // It returned in order after the last test.
  bool complete = false;
  // What was wrong with the report itself, or empty.
  std::string damage;
  // There is no other word than the exit code, which is none on its own then.
  bool by_exit_code = false;
  // Why nothing of it counts although no test is to blame, or empty: each of
  // the tests is an infrastructure error with these words.
  std::string infrastructure;
};

// What was found when all tests of a target had run, for people.
struct TargetEnd {
  std::vector<std::string> errors;  // the run fails for them
  std::vector<std::string> notes;
};

// An exec worker or a forked one. The runner adds streams, the report page,
// environment, timeout and name.
using Launch = std::variant<SpawnOptions, ForkOptions>;

class Target {
 public:
  virtual ~Target() = default;

  // As given on the command line; unique in a run.
  virtual const std::string& label() const = 0;

  // Makes it ready (starts its zygote, if it has one) and lists its tests.
  // Blocks. An error is one of the target as a whole: no such file, a zygote
  // that is refused, a listing that cannot be read.
  virtual Result<TargetReady> Prepare(Client& client) = 0;
  // After Prepare.
  virtual const std::vector<TestCase>& tests() const = 0;

  // Which of them will run. Once, before the first launch; blocks while what
  // these have in common is set up.
  virtual Result<void> Plan(Client&, const std::vector<const TestCase*>&) {
    return {};
  }

  // Whether MakeLaunch may be called for these tests. If not, something that
  // they need is being made: ask again when Client::Process() has returned.
  // Does not block.
  virtual bool CanLaunch(Client&, const std::vector<const TestCase*>&) {
    return true;
  }

  // One worker that runs these tests, in order. More than one only with
  // --isolate suite or file.
  virtual Launch MakeLaunch(const std::vector<const TestCase*>& tests,
                            const AttemptFiles& files) = 0;
  // What the framework said, after the worker has ended.
  virtual FrameworkReport ReadReport(const std::vector<const TestCase*>& tests,
                                     const AttemptFiles& files,
                                     const ExitRecord& exit) = 0;

  // Called when its zygote died ("unknown_zygote", "zygote_died"): makes it
  // anew. The default has none.
  virtual Result<void> Revive(Client&) { return {}; }

  // After the last test. Blocks while what was set up for the tests is torn
  // down, for so long at most.
  virtual TargetEnd Finish(Client&, std::chrono::milliseconds /*patience*/) {
    return {};
  }
};

// Looks at a path and makes the target for it. Errors name the path and what
// to do.
Result<std::unique_ptr<Target>> MakeTarget(const std::string& path,
                                           const TargetOptions& options);

}  // namespace forkserver::harness
