// The zygote of the demo: its libraries are loaded and linked, but the
// framework is first used in the workers that are forked from it.
#include <forkserver/zygote.h>

#include <cstdio>

#include "tools/demo/framework.h"
#include "tools/demo/work_report.h"

namespace {

int ComputeDotProduct(forkserver::WorkerContext& context) {
  forkserver::demo::WorkReport report;
  report.first_instruction_ns = forkserver::demo::MonotonicNs();
  report.answer = forkserver::demo::DotProduct();
  context.SetResult(forkserver::demo::FormatReport(report));
  return 0;
}

// For people: `forkserver fork NAME --entry print`.
int PrintDotProduct(forkserver::WorkerContext&) {
  std::printf("%lld\n", static_cast<long long>(forkserver::demo::DotProduct()));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  forkserver::Zygote zygote(argc, argv);
  zygote.AddEntry("dot_product", ComputeDotProduct);
  zygote.AddEntry("print", PrintDotProduct);
  return zygote.Serve();
}
