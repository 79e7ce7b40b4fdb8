// The exec worker of the demo: does the work, writes a WorkReport to standard
// output.
#include "tools/demo/framework.h"
#include "tools/demo/work_report.h"

int main() {
  forkserver::demo::WorkReport report;
  report.first_instruction_ns = forkserver::demo::MonotonicNs();
  report.answer = forkserver::demo::DotProduct();
  std::fputs(forkserver::demo::FormatReport(report).c_str(), stdout);
  return std::fflush(stdout) == 0 ? 0 : 1;
}
