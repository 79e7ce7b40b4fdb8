#include "tools/harness/report/json_lines.h"

#include <cerrno>

#include "tools/harness/report/event_json.h"
#include "tools/terminal/write_all.h"

namespace forkserver::harness {

void JsonLinesReporter::Write(std::string line) {
  if (error_) return;
  line += '\n';
  if (const int number = WriteAll(fd_, line)) {
    error_ = SystemError("--json: write(standard output)", number);
    error_->hint = "the events are not complete";
  }
}

void JsonLinesReporter::OnTargetReady(const TargetReady& target) {
  Write(TargetReadyJson(target));
}

void JsonLinesReporter::OnRunBegan(const RunPlan& plan) {
  plan_ = &plan;
  Write(RunBeganJson(plan));
}

void JsonLinesReporter::OnAttemptStarted(const RunningTest& running) {
  Write(RunningJson("attempt_started", *plan_, running));
}

void JsonLinesReporter::OnAttemptSlow(const RunningTest& running) {
  Write(RunningJson("attempt_slow", *plan_, running));
}

void JsonLinesReporter::OnOutput(const RunningTest& running, int stream,
                                 std::string_view text) {
  Write(OutputJson(*plan_, running, stream, text));
}

void JsonLinesReporter::OnAttemptEnded(std::size_t test, const Attempt& attempt,
                                       bool last) {
  Write(AttemptEndedJson(*plan_, test, attempt, last));
}

void JsonLinesReporter::OnTestEnded(const TestResult& result) {
  Write(TestEndedJson(*plan_, result));
}

void JsonLinesReporter::OnShowRunning(const std::vector<RunningTest>& running) {
  if (plan_ != nullptr) Write(ShownRunningJson(*plan_, running));
}

void JsonLinesReporter::OnWarning(const std::string& text) {
  Write(WarningJson(text));
}

Result<void> JsonLinesReporter::OnRunEnded(const RunSummary& summary) {
  Write(RunEndedJson(summary));
  if (error_) return *error_;
  return {};
}

}  // namespace forkserver::harness
