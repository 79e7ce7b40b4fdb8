// `--trace FILE`: the run as a trace for Perfetto (ui.perfetto.dev) and
// chrome://tracing: a process for each target, a lane for each slot, the steps
// of each worker in it. What is in it is in docs/test_reports.md.
//
// Written as it goes, as JSON: the array is closed after each attempt. A
// process that is killed while it writes may leave it open, which readers of
// traces take.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "tools/harness/report/file_reporter.h"
#include "tools/harness/report/report_file.h"

namespace forkserver::harness {

class TraceReporter : public FileReporter {
 public:
  // Creates the file.
  static Result<std::unique_ptr<TraceReporter>> Create(const std::string& path);

  void OnTargetReady(const TargetReady& target) override;
  void OnRunBegan(const RunPlan& plan) override { plan_ = &plan; }
  void OnAttemptSlow(const RunningTest& running) override;
  void OnAttemptEnded(std::size_t test, const Attempt& attempt,
                      bool last) override;
  Result<void> OnRunEnded(const RunSummary& summary) override;
  const std::optional<Error>& error() override { return file_.error(); }

 private:
  explicit TraceReporter(ReportFile file);

  // Numbers that stand for a target and a lane of it, told when new.
  int ProcessOf(const std::string& label, std::string& events);
  int LaneOf(int process, int slot, std::string& events);
  // A piece of time in a lane; nothing where a time is missing.
  void AddSlice(std::string& events, const std::string& name, int process,
                int lane, std::int64_t begun_ns, std::int64_t ended_ns,
                const std::string& arguments = {}, const char* color = nullptr);
  // Each event ends with ",\n".
  void Write(std::string events);

  ReportFile file_;
  std::uint64_t end_at_ = 0;  // where the array is closed
  bool empty_ = true;
  const RunPlan* plan_ = nullptr;
  std::map<std::string, int> processes_;
  std::set<std::pair<int, int>> lanes_;
};

}  // namespace forkserver::harness
