#include <malloc/malloc.h>

#include "sdk/process/fork_cost.h"

namespace forkserver {

void MakeForksCheap() { ::malloc_zone_pressure_relief(nullptr, 0); }

}  // namespace forkserver
