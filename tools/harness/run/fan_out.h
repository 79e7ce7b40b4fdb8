// Tells several reporters, in their order.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tools/harness/model/reporter.h"

namespace forkserver::harness {

class FanOut final : public Reporter {
 public:
  void Add(std::unique_ptr<Reporter> reporter) {
    reporters_.push_back(std::move(reporter));
  }
  void AddFirst(std::unique_ptr<Reporter> reporter) {
    reporters_.insert(reporters_.begin(), std::move(reporter));
  }

  void OnTargetReady(const TargetReady& ready) override {
    for (auto& each : reporters_) each->OnTargetReady(ready);
  }
  void OnRunBegan(const RunPlan& plan) override {
    for (auto& each : reporters_) each->OnRunBegan(plan);
  }
  void OnAttemptStarted(const RunningTest& test) override {
    for (auto& each : reporters_) each->OnAttemptStarted(test);
  }
  void OnAttemptSlow(const RunningTest& test) override {
    for (auto& each : reporters_) each->OnAttemptSlow(test);
  }
  void OnOutput(const RunningTest& test, int stream,
                std::string_view text) override {
    for (auto& each : reporters_) each->OnOutput(test, stream, text);
  }
  void OnAttemptEnded(std::size_t test, const Attempt& attempt,
                      bool last) override {
    for (auto& each : reporters_) each->OnAttemptEnded(test, attempt, last);
  }
  void OnTestEnded(const TestResult& result) override {
    for (auto& each : reporters_) each->OnTestEnded(result);
  }
  void OnTick(std::int64_t now_ns,
              const std::vector<RunningTest>& running) override {
    for (auto& each : reporters_) each->OnTick(now_ns, running);
  }
  void OnShowRunning(const std::vector<RunningTest>& running) override {
    for (auto& each : reporters_) each->OnShowRunning(running);
  }
  void OnSuspend() override {
    for (auto& each : reporters_) each->OnSuspend();
  }
  void OnResume() override {
    for (auto& each : reporters_) each->OnResume();
  }
  void OnWarning(const std::string& text) override {
    for (auto& each : reporters_) each->OnWarning(text);
  }

  // The errors of the earlier ones become part of the summary of the later
  // ones, and of `summary`; a run that all tests passed has not succeeded then.
  void EndRun(RunSummary& summary) {
    for (auto& each : reporters_) {
      Result<void> ended = each->OnRunEnded(summary);
      if (ended) continue;
      summary.errors.push_back(ended.error().ToString());
      if (summary.exit_code == 0) summary.exit_code = kReportFailed;
    }
  }

 private:
  static constexpr int kReportFailed = 125;

  std::vector<std::unique_ptr<Reporter>> reporters_;
};

}  // namespace forkserver::harness
