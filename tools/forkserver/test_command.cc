#include "tools/forkserver/test_command.h"

#include <csignal>
#include <cstdio>

#include "tools/forkserver/output.h"
#include "tools/harness/report/report_set.h"
#include "tools/harness/run/test_run.h"

namespace forkserver::cli {
namespace {

harness::ReportOptions ReportsOf(const harness::TestOptions& options,
                                 bool json) {
  harness::ReportOptions reports;
  reports.junit_path = options.junit;
  reports.trace_path = options.trace;
  reports.html_path = options.html;
  reports.json = json;
  if (options.color == "always") reports.colors = ColorChoice::kAlways;
  if (options.color == "never") reports.colors = ColorChoice::kNever;
  reports.every_test = options.verbose.value_or(false);
  reports.why = options.why;
  return reports;
}

}  // namespace

int RunTestCommand(const Options& options) {
  // A reader that has gone, a file that may not grow: errors, no deaths.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  harness::TestRunRequest request;
  request.options = options.test;
  if (!options.words.empty()) request.options.filters = options.words;
  request.socket = options.socket;
  request.json = options.json;
  request.make_reporters = [&](const harness::Settings& settings,
                               harness::FanOut& reporters) -> Result<void> {
    auto reports =
        harness::ReportSet::Create(ReportsOf(settings.options, options.json));
    if (!reports) return reports.error();
    reporters.Add(*std::move(reports));
    return {};
  };
  request.print_error = [](const std::string& text) { PrintError(text); };
  request.print = [](const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
  };
  return harness::RunTests(request);
}

}  // namespace forkserver::cli
