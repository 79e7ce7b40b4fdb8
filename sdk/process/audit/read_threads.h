// Who the threads of a process are: their names, who started them, what they
// wait for. Linux only.
#pragma once

#include "sdk/process/audit/facts.h"
#include "sdk/process/audit/process_memory.h"

namespace forkserver::audit {

// Fills `threads` and `locks` of `facts.pid`, and `unreadable`.
//
// The library that started a thread is found on its stack, where libc keeps
// the function that it began with. That takes the right to trace the process;
// of a thread that runs just then it is tried for some milliseconds.
void ReadThreads(const ProcessMemory& memory, ProcessFacts& facts);

}  // namespace forkserver::audit
