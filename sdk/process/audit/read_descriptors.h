// What the descriptors of a process are open on. Linux only.
#pragma once

#include "sdk/process/audit/facts.h"

namespace forkserver::audit {

// Fills `descriptors` of `facts.pid`, sockets with their other end, and
// `unreadable`.
void ReadDescriptors(ProcessFacts& facts);

}  // namespace forkserver::audit
