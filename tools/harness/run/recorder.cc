#include "tools/harness/run/recorder.h"

#include "tools/harness/run/judge.h"

namespace forkserver::harness {

void Recorder::OnTestEnded(const TestResult& result) {
  const std::string& id = plan_->tests[result.test].id;
  const bool failed = IsUnsuccessful(result.verdict);
  last_run_.Note(id, failed);
  // Of one that crashed or was ended, and of one that did not run, the time
  // says nothing.
  if (result.verdict == Verdict::kPass || result.verdict == Verdict::kFlaky ||
      result.verdict == Verdict::kFail) {
    durations_.Add(id, result.last().wall_us);
  }
}

Result<void> Recorder::OnRunEnded(const RunSummary&) {
  Result<void> written;
  if (!durations_path_.empty()) written = durations_.Write(durations_path_);
  if (!last_run_path_.empty()) {
    Result<void> noted = last_run_.Write(last_run_path_);
    if (written) written = noted;
  }
  return written;
}

}  // namespace forkserver::harness
