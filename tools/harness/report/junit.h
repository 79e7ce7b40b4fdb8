// `--junit FILE`: results as JUnit XML, as Maven Surefire's reports have it
// and most CI systems read it. The schema is in docs/test_reports.md.
//
// Written as it goes: each result is in the file when OnTestEnded returns, and
// the file is well-formed at every moment (see closed_xml.h). At the end it is
// replaced by one with the results of a target together and with their counts.
// An error of the file stays; the run is not disturbed by it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tools/harness/model/reporter.h"
#include "tools/harness/report/closed_xml.h"
#include "tools/harness/report/file_reporter.h"

namespace forkserver::harness {

struct JunitOptions {
  std::string path;
  // Of tests that passed too; of others it is always there.
  bool output_of_passed = false;
};

class JunitReporter : public FileReporter {
 public:
  // Creates the file.
  static Result<std::unique_ptr<JunitReporter>> Create(JunitOptions options);

  void OnTargetReady(const TargetReady& target) override;
  void OnRunBegan(const RunPlan& plan) override;
  void OnTestEnded(const TestResult& result) override;
  Result<void> OnRunEnded(const RunSummary& summary) override;
  const std::optional<Error>& error() override;

 private:
  // The results of one target.
  struct Suite {
    std::string framework;
    bool warm = false;
    std::size_t tests = 0;
    std::size_t failures = 0;
    std::size_t errors = 0;
    std::size_t skipped = 0;
    std::int64_t wall_us = 0;
    std::vector<FileRange> cases;  // where they are in the file
  };

  JunitReporter(JunitOptions options, ClosedXml xml)
      : options_(std::move(options)), xml_(std::move(xml)) {}
  Suite& SuiteOf(const std::string& label);
  void AppendCase(const std::string& label, const std::string& element);
  void AddNotRun(const RunSummary& summary);
  void AddErrors(const RunSummary& summary);
  std::string Properties(const Suite& suite) const;
  // The whole document in order. Leaves the old one when it cannot be done.
  void WriteInOrder(const RunSummary& summary);

  const JunitOptions options_;
  ClosedXml xml_;
  const RunPlan* plan_ = nullptr;
  std::vector<std::string> order_;  // of suites
  std::map<std::string, Suite> suites_;
  std::string open_suite_;
  bool suite_is_open_ = false;
  std::vector<bool> ended_;               // by test
  std::vector<std::string> told_errors_;  // of targets
};

}  // namespace forkserver::harness
