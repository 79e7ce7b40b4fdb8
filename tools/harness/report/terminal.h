// What a person sees of a run. In a terminal a bar with the running tests
// below the lines that stay; elsewhere lines only, and one on the progress now
// and then. Failures are told shortly when they happen; their output comes at
// the end, once, before the summary.
//
// Blocks while the terminal, or whoever reads the pipe, does not take it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tools/harness/model/reporter.h"
#include "tools/harness/report/progress_lines.h"
#include "tools/terminal/live_area.h"
#include "tools/terminal/terminal_look.h"

namespace forkserver::harness {

struct TerminalOptions {
  int fd = 1;  // borrowed
  TerminalLook look;
  // A line for each test, not only for those that did not pass.
  bool every_test = false;
  // What was found out about kept zygotes.
  bool why = false;
};

class TerminalReporter : public Reporter {
 public:
  explicit TerminalReporter(TerminalOptions options);
  ~TerminalReporter() override;

  void OnTargetReady(const TargetReady& target) override;
  void OnRunBegan(const RunPlan& plan) override;
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
  Result<void> OnRunEnded(const RunSummary& summary) override;

 private:
  // Of --no-capture: a line that is not complete yet.
  using OutputKey = std::pair<std::size_t, int>;  // test, stream

  const TestCase& TestAt(std::size_t index) const {
    return plan_->tests[index];
  }
  void Print(const std::string& text);
  void LookAtSize();
  void PrintOutputLine(std::size_t test, const std::string& line);
  Progress ProgressNow(std::int64_t now_ns,
                       const std::vector<RunningTest>& running) const;
  void NoteEnded(std::size_t test);
  void PrintEnd(const RunSummary& summary);

  const TerminalOptions options_;
  TerminalLook look_;
  std::unique_ptr<LiveArea> area_;  // of a terminal
  const RunPlan* plan_ = nullptr;
  std::size_t targets_ = 0;
  Tally tally_;
  std::int64_t begun_ns_ = 0;
  std::int64_t suspended_ns_ = 0;  // since when, or 0
  std::int64_t paused_ns_ = 0;     // altogether
  std::int64_t next_log_ns_ = 0;
  std::int64_t known_left_us_ = 0;  // of tests that have not ended
  std::size_t unknown_left_ = 0;    // tests whose time nobody knows
  std::string failures_;            // text for the end
  std::size_t failures_left_out_ = 0;
  std::string verdicts_;  // a line for each test that did not simply pass
  std::map<OutputKey, std::string> partial_lines_;
};

}  // namespace forkserver::harness
