// The SDK's values as JSON text. The keys are those of Visit() in types.h:
// every one of them is there, null where there is no value. Text that is not
// UTF-8 is shown with replacement characters.
#pragma once

#include <forkserver/types.h>

#include <string>
#include <vector>

#include "sdk/log/log_line.h"
#include "tools/forkserver/explanation.h"
#include "tools/forkserver/fork_report.h"
#include "tools/forkserver/memory_use.h"
#include "tools/forkserver/session_report.h"
#include "tools/forkserver/top_sampler.h"
#include "tools/project/carry_out.h"
#include "tools/project/problem.h"

namespace forkserver::cli {

std::string ToJson(const std::vector<WorkerInfo>& workers);
std::string ToJson(const std::vector<MeasuredWorker>& workers);
std::string ToJson(const std::vector<ZygoteInfo>& zygotes);
std::string ToJson(const std::vector<TopRow>& rows);
std::string ToJson(const ZygoteInfo& zygote);
std::string ToJson(const std::vector<ServiceInfo>& services);
std::string ToJson(const ServiceInfo& service);
std::string ToJson(const std::vector<project::Outcome>& outcomes);
std::string ToJson(const std::vector<project::Problem>& problems);
std::string ToJson(const ExitRecord& record);
std::string ToJson(const Explanation& explanation);
std::string ToJson(const DaemonStatus& status);
std::string ToJson(const DaemonUpgrade& upgrade);
std::string ToJson(const Audit& audit);
std::string ToJson(const SessionReport& report);
std::string ToJson(const CommandReport& report);
// On one line.
std::string ToJson(const Event& event);
std::string ToJson(const ForkReport& report);
std::string ToJson(const LogLine& line);

// The other way: one report a line, others are left out.
std::vector<ForkReport> ParseForkReports(const std::string& lines);

}  // namespace forkserver::cli
