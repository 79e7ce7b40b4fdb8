// Writes down what the next run wants to know: how long each test took, and
// which did not pass. Told at the end of the run only, so that a run that is
// killed leaves what was there.
#pragma once

#include <string>
#include <utility>

#include "tools/harness/model/reporter.h"
#include "tools/harness/plan/durations.h"
#include "tools/harness/plan/last_run.h"

namespace forkserver::harness {

class Recorder final : public Reporter {
 public:
  // Empty paths: nothing is written there. Takes what was read.
  Recorder(Durations durations, std::string durations_path, LastRun last_run,
           std::string last_run_path)
      : durations_(std::move(durations)),
        durations_path_(std::move(durations_path)),
        last_run_(std::move(last_run)),
        last_run_path_(std::move(last_run_path)) {}

  void OnRunBegan(const RunPlan& plan) override { plan_ = &plan; }
  void OnTestEnded(const TestResult& result) override;
  Result<void> OnRunEnded(const RunSummary& summary) override;

 private:
  const RunPlan* plan_ = nullptr;
  Durations durations_;
  std::string durations_path_;
  LastRun last_run_;
  std::string last_run_path_;
};

}  // namespace forkserver::harness
