// Events of a run as JSON text, each on one line without its end. The schema
// is in docs/test_reports.md. Text that is not UTF-8 has replacement
// characters. The only includer of nlohmann-json here. Pure.
#pragma once

#include <string>
#include <string_view>

#include "tools/harness/model/reporter.h"

namespace forkserver::harness {

std::string TargetReadyJson(const TargetReady& target);
std::string RunBeganJson(const RunPlan& plan);
// `event`: "attempt_started", "attempt_slow".
std::string RunningJson(std::string_view event, const RunPlan& plan,
                        const RunningTest& running);
std::string OutputJson(const RunPlan& plan, const RunningTest& running,
                       int stream, std::string_view text);
std::string AttemptEndedJson(const RunPlan& plan, std::size_t test,
                             const Attempt& attempt, bool last);
std::string TestEndedJson(const RunPlan& plan, const TestResult& result);
std::string ShownRunningJson(const RunPlan& plan,
                             const std::vector<RunningTest>& running);
std::string WarningJson(const std::string& text);
std::string RunEndedJson(const RunSummary& summary);

// Pieces for other reports.
std::string AttemptJson(const Attempt& attempt);
// A string with its quotes.
std::string JsonString(std::string_view text);

}  // namespace forkserver::harness
