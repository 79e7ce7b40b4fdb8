// What can be seen of this process within some microseconds, at a fork. No
// allocation, no lock. The two sides are snapshot_linux.cc and
// snapshot_darwin.cc.
#pragma once

#include <cstdint>

#include "sdk/guard/fork_record.h"

namespace forkserver::guard {

std::int64_t ThisThread();
int CountThreads();
// Threads (with names) and descriptors, as far as there is room.
void ListThreads(ForkRecord& record);
void ListDescriptors(ForkRecord& record);
// True if one is neither file, pipe nor terminal. Stops at the first.
bool HasUncommonDescriptor();

}  // namespace forkserver::guard
