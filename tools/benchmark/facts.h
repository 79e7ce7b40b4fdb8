// Where and with what the benchmark measures.
#pragma once

#include "tools/benchmark/report.h"

namespace forkserver::benchmark {

Facts DescribeMachine();
// Peers only where they are Debian's.
Facts DescribeVersions();

}  // namespace forkserver::benchmark
