#include "tools/harness/report/report_set.h"

#include <utility>

#include "tools/harness/report/html.h"
#include "tools/harness/report/json_lines.h"
#include "tools/harness/report/junit.h"
#include "tools/harness/report/terminal.h"
#include "tools/harness/report/trace.h"

namespace forkserver::harness {
namespace {

// The exit code of a run whose tests passed and whose reports did not.
constexpr int kInfrastructureExit = 125;

}  // namespace

Result<std::unique_ptr<ReportSet>> ReportSet::Create(
    const ReportOptions& options) {
  std::unique_ptr<ReportSet> set(new ReportSet);
  if (!options.junit_path.empty()) {
    auto junit =
        JunitReporter::Create({options.junit_path, options.output_of_passed});
    if (!junit) return std::move(junit).error();
    set->files_.push_back({std::move(*junit)});
  }
  if (!options.html_path.empty()) {
    auto html =
        HtmlReporter::Create({options.html_path, options.output_of_passed});
    if (!html) return std::move(html).error();
    set->files_.push_back({std::move(*html)});
  }
  if (!options.trace_path.empty()) {
    auto trace = TraceReporter::Create(options.trace_path);
    if (!trace) return std::move(trace).error();
    set->files_.push_back({std::move(*trace)});
  }
  if (options.json) {
    set->files_.push_back(
        {std::make_unique<JsonLinesReporter>(options.out_fd)});
  }
  const int fd = options.json ? options.err_fd : options.out_fd;
  set->terminal_ = std::make_unique<TerminalReporter>(
      TerminalOptions{.fd = fd,
                      .look = LookOf(fd, options.colors),
                      .every_test = options.every_test,
                      .why = options.why});
  return set;
}

template <typename Tell>
void ReportSet::TellAll(const Tell& tell) {
  for (FileReport& file : files_) {
    tell(*file.reporter);
    if (file.reporter->error() && !file.warned) {
      file.warned = true;
      terminal_->OnWarning(file.reporter->error()->ToString());
    }
  }
  tell(*terminal_);
}

void ReportSet::OnTargetReady(const TargetReady& target) {
  TellAll([&](Reporter& one) { one.OnTargetReady(target); });
}
void ReportSet::OnRunBegan(const RunPlan& plan) {
  TellAll([&](Reporter& one) { one.OnRunBegan(plan); });
}
void ReportSet::OnAttemptStarted(const RunningTest& running) {
  TellAll([&](Reporter& one) { one.OnAttemptStarted(running); });
}
void ReportSet::OnAttemptSlow(const RunningTest& running) {
  TellAll([&](Reporter& one) { one.OnAttemptSlow(running); });
}
void ReportSet::OnOutput(const RunningTest& running, int stream,
                         std::string_view text) {
  TellAll([&](Reporter& one) { one.OnOutput(running, stream, text); });
}
void ReportSet::OnAttemptEnded(std::size_t test, const Attempt& attempt,
                               bool last) {
  TellAll([&](Reporter& one) { one.OnAttemptEnded(test, attempt, last); });
}
void ReportSet::OnTestEnded(const TestResult& result) {
  TellAll([&](Reporter& one) { one.OnTestEnded(result); });
}
void ReportSet::OnTick(std::int64_t now_ns,
                       const std::vector<RunningTest>& running) {
  TellAll([&](Reporter& one) { one.OnTick(now_ns, running); });
}
void ReportSet::OnShowRunning(const std::vector<RunningTest>& running) {
  TellAll([&](Reporter& one) { one.OnShowRunning(running); });
}
void ReportSet::OnSuspend() {
  TellAll([](Reporter& one) { one.OnSuspend(); });
}
void ReportSet::OnResume() {
  TellAll([](Reporter& one) { one.OnResume(); });
}
void ReportSet::OnWarning(const std::string& text) {
  TellAll([&](Reporter& one) { one.OnWarning(text); });
}

Result<void> ReportSet::OnRunEnded(const RunSummary& summary) {
  RunSummary told = summary;
  std::optional<Error> first;
  for (FileReport& file : files_) {
    const Result<void> ended = file.reporter->OnRunEnded(told);
    if (ended) continue;
    if (!first) first = ended.error();
    told.errors.push_back(ended.error().ToString());
    if (told.exit_code == 0) told.exit_code = kInfrastructureExit;
  }
  static_cast<void>(terminal_->OnRunEnded(told));
  if (first) return *first;
  return {};
}

}  // namespace forkserver::harness
