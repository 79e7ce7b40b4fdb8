// All reports of a run: made from what the command line says, told every event
// in order. It is a Reporter itself, the only one that the runner knows.
//
// The terminal's comes last, so that its summary has the errors of the others.
// An error of a file is told as a warning when it happens, once, and is part of
// what OnRunEnded returns: the run itself goes on.
//
// The process must ignore SIGPIPE and SIGXFSZ: a reader that has gone and a
// file that may not grow are errors, no reason to die.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tools/harness/report/file_reporter.h"
#include "tools/terminal/terminal_look.h"

namespace forkserver::harness {

struct ReportOptions {
  // Empty: no such report.
  std::string junit_path;
  std::string trace_path;
  std::string html_path;
  // Events as JSON lines on `out_fd`, which has nothing else then: what a
  // person sees goes to `err_fd`.
  bool json = false;
  ColorChoice colors = ColorChoice::kAuto;
  bool every_test = false;  // a line for each, on the terminal
  bool why = false;         // what was found out about kept zygotes, there
  bool output_of_passed = false;  // in junit
  int out_fd = 1;
  int err_fd = 2;
};

class ReportSet : public Reporter {
 public:
  // Creates all files. An error is one of usage: it names the option and what
  // to do; nothing has been run yet.
  static Result<std::unique_ptr<ReportSet>> Create(
      const ReportOptions& options);

  void OnTargetReady(const TargetReady& target) override;
  void OnRunBegan(const RunPlan& plan) override;
  void OnAttemptStarted(const RunningTest& running) override;
  void OnAttemptSlow(const RunningTest& running) override;
  void OnOutput(const RunningTest& running, int stream,
                std::string_view text) override;
  void OnAttemptEnded(std::size_t test, const Attempt& attempt,
                      bool last) override;
  void OnTestEnded(const TestResult& result) override;
  void OnTick(std::int64_t now_ns,
              const std::vector<RunningTest>& running) override;
  void OnShowRunning(const std::vector<RunningTest>& running) override;
  void OnSuspend() override;
  void OnResume() override;
  void OnWarning(const std::string& text) override;
  // The error is the first one; all of them are in the summary that the
  // terminal shows, with exit code 125 if the run itself had 0.
  Result<void> OnRunEnded(const RunSummary& summary) override;

 private:
  ReportSet() = default;
  template <typename Tell>
  void TellAll(const Tell& tell);

  struct FileReport {
    std::unique_ptr<FileReporter> reporter;
    bool warned = false;
  };
  std::vector<FileReport> files_;
  std::unique_ptr<Reporter> terminal_;
};

}  // namespace forkserver::harness
