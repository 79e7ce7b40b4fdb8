// `--html FILE`: the run as one page that needs nothing else: timeline,
// failures with their output, slowest tests, durations against the last run.
// The page is made of the files in page/; what is appended to it is data.
//
// Written as it goes, one line for each result: a page whose run was killed
// shows what it got, and says that it was.
#pragma once

#include <memory>
#include <string>

#include "tools/harness/report/file_reporter.h"
#include "tools/harness/report/report_file.h"

namespace forkserver::harness {

struct HtmlOptions {
  std::string path;
  // Of tests that passed too; of others it is always there.
  bool output_of_passed = false;
};

class HtmlReporter : public FileReporter {
 public:
  // Creates the file.
  static Result<std::unique_ptr<HtmlReporter>> Create(HtmlOptions options);

  void OnTargetReady(const TargetReady& target) override;
  void OnRunBegan(const RunPlan& plan) override;
  void OnTestEnded(const TestResult& result) override;
  void OnWarning(const std::string& text) override;
  Result<void> OnRunEnded(const RunSummary& summary) override;
  const std::optional<Error>& error() override { return file_.error(); }

 private:
  HtmlReporter(HtmlOptions options, ReportFile file)
      : options_(std::move(options)), file_(std::move(file)) {}
  // `kind` says what the line is: see page/data.js.
  void Write(char kind, std::string json);

  const HtmlOptions options_;
  ReportFile file_;
};

}  // namespace forkserver::harness
