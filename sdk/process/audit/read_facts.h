// Reads what can be seen of a process, of this one or of another, from
// outside: it is not stopped and notices nothing. The two sides are
// read_facts_linux.cc and read_facts_darwin.cc.
#pragma once

#include <forkserver/result.h>
#include <sys/types.h>

#include "sdk/process/audit/facts.h"

namespace forkserver::audit {

// Blocks for some milliseconds; longer (seconds) with very many threads,
// mappings or descriptors, so not for an event loop. Allocates, starts nothing
// and leaves no descriptor open. It may be called in a child of fork(2) of a
// process with one thread.
//
// What of it could not be read is in `unreadable`. Errors, with hints: "system"
// where there is nothing to look at: no such process, a zombie, a kernel
// thread, a process of another user, one that ended meanwhile.
Result<ProcessFacts> ReadFacts(pid_t pid);

}  // namespace forkserver::audit
