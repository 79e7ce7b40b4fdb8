// `--json`: the events of a run, each as one line of JSON, on a descriptor.
// The schema is in docs/test_reports.md. The last line is the summary.
//
// A line is written as a whole with one system call where the system takes it,
// and blocks while nobody reads. A write that fails (nobody reads any more: the
// process must ignore SIGPIPE) is kept as the error, and ends the writing.
#pragma once

#include <string>

#include "tools/harness/report/file_reporter.h"

namespace forkserver::harness {

class JsonLinesReporter : public FileReporter {
 public:
  // Borrows `fd`.
  explicit JsonLinesReporter(int fd) : fd_(fd) {}

  void OnTargetReady(const TargetReady& target) override;
  void OnRunBegan(const RunPlan& plan) override;
  void OnAttemptStarted(const RunningTest& running) override;
  void OnAttemptSlow(const RunningTest& running) override;
  void OnOutput(const RunningTest& running, int stream,
                std::string_view text) override;
  void OnAttemptEnded(std::size_t test, const Attempt& attempt,
                      bool last) override;
  void OnTestEnded(const TestResult& result) override;
  void OnShowRunning(const std::vector<RunningTest>& running) override;
  void OnWarning(const std::string& text) override;
  Result<void> OnRunEnded(const RunSummary& summary) override;
  const std::optional<Error>& error() override { return error_; }

 private:
  void Write(std::string line);

  const int fd_;
  const RunPlan* plan_ = nullptr;
  std::optional<Error> error_;
};

}  // namespace forkserver::harness
