// A run that never was, for testing reports: what a runner would tell of a few
// targets whose tests pass, fail, crash, hang, leak and write all sorts of
// output. The same options make the same run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/harness/model/reporter.h"

namespace forkserver::harness {

struct SyntheticOptions {
  std::size_t tests = 60;  // at least 20, or only some of the troubles happen
  int slots = 4;
  // Tests take this many times as long.
  double slowness = 1.0;
  std::int64_t begun_ns = 1'000'000'000'000;
  std::int64_t begun_unix_ms = 1'767'268'800'000;  // 2026-01-01T12:00:00Z
  bool troubles = true;        // false: every test passes, silently
  bool odd_bytes = true;       // in names and output of one of them
  std::size_t big_output = 0;  // bytes that one failing test wrote
  std::string hostile;         // further output of the failing tests
};

// Something that the runner tells, at a time of the run.
struct SyntheticEvent {
  enum class Kind { kAttemptStarted, kSlow, kAttemptEnded, kTestEnded };
  std::int64_t at_us = 0;
  Kind kind = Kind::kAttemptStarted;
  std::size_t test = 0;
  std::size_t attempt = 0;  // index
};

class SyntheticRun {
 public:
  explicit SyntheticRun(const SyntheticOptions& options);

  const SyntheticOptions& options() const { return options_; }
  const std::vector<TargetReady>& targets() const { return targets_; }
  const RunPlan& plan() const { return plan_; }
  const std::vector<TestResult>& results() const { return results_; }
  const std::vector<SyntheticEvent>& events() const { return events_; }
  // When the last event is.
  std::int64_t wall_us() const { return events_.back().at_us; }

  // The test as it runs at this time of the run.
  RunningTest Running(std::size_t test, std::size_t attempt,
                      std::int64_t at_us) const;
  // Tells one event.
  void Tell(const SyntheticEvent& event, Reporter& reporter) const;
  // Of the first `told` events; all: the summary of a whole run.
  RunSummary Summary(std::size_t told) const;
  RunSummary Summary() const { return Summary(events_.size()); }

  // Tells everything at once, with a tick after each event.
  Result<void> TellAll(Reporter& reporter) const;

 private:
  void MakePlan();
  void MakeResults();
  void Schedule();

  const SyntheticOptions options_;
  std::vector<TargetReady> targets_;
  RunPlan plan_;
  std::vector<TestResult> results_;
  std::vector<SyntheticEvent> events_;
};

}  // namespace forkserver::harness
