// By reading: written from libdispatch's documentation and source, not run.
// A process that used a queue is marked, and its forked child crashes at the
// first use of libdispatch ("BUG IN CLIENT OF LIBDISPATCH: dispatch_* called
// on the child side of a fork").
#include <dispatch/dispatch.h>

#include <vector>

#include "tools/demo/framework.h"

namespace forkserver::demo {

const char kFrameworkName[] = "libdispatch";
const char kFrameworkUse[] = "dispatch_apply on 4 slices";

namespace {

constexpr std::size_t kSlices = 4;

struct Work {
  std::vector<std::int64_t> x;
  std::vector<std::int64_t> y;
  std::int64_t sums[kSlices];
};

void SumSlice(void* context, std::size_t slice) {
  Work& work = *static_cast<Work*>(context);
  const std::size_t length = work.x.size() / kSlices;
  for (std::size_t i = slice * length; i < (slice + 1) * length; ++i) {
    work.sums[slice] += work.x[i] * work.y[i];
  }
}

}  // namespace

std::int64_t DotProduct() {
  Work work = {};
  work.x.resize(kElements);
  work.y.assign(kElements, 2);
  for (std::int64_t i = 0; i < kElements; ++i) work.x[i] = i;
  dispatch_apply_f(
      kSlices, dispatch_get_global_queue(DISPATCH_QUEUE_PRIORITY_DEFAULT, 0),
      &work, SumSlice);
  std::int64_t sum = 0;
  for (const std::int64_t part : work.sums) sum += part;
  return sum;
}

}  // namespace forkserver::demo
