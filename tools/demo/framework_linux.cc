// Compiled with -fopenmp; GNU's runtime is libgomp. At the end of the first
// region it keeps its threads in a pool for the next one. A forked child has
// the pool's bookkeeping, but none of its threads: it waits for them for ever.
#include <vector>

#include "tools/demo/framework.h"

namespace forkserver::demo {

const char kFrameworkName[] = "GNU OpenMP";
const char kFrameworkUse[] = "an OpenMP region with num_threads(4)";

std::int64_t DotProduct() {
  std::vector<std::int64_t> x(kElements);
  const std::vector<std::int64_t> y(kElements, 2);
  for (std::int64_t i = 0; i < kElements; ++i) x[i] = i;
  std::int64_t sum = 0;
#pragma omp parallel for num_threads(4) reduction(+ : sum)
  for (std::int64_t i = 0; i < kElements; ++i) sum += x[i] * y[i];
  return sum;
}

}  // namespace forkserver::demo
