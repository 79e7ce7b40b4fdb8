// Asks a library of a process whether it was used in a way that no child
// survives. Linux only.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "sdk/process/audit/process_memory.h"

namespace forkserver::audit {

// What the exported function `bool symbol(void)` of the library at `library`
// would return now. In this process it is called. In another one it is read:
// such a function loads one variable and returns it, or bits of it; the code
// is looked at, and the variable read. Absent where neither is possible.
std::optional<bool> AskLibrary(pid_t pid, const ProcessMemory& memory,
                               const Mapping& library,
                               const std::string& symbol);

}  // namespace forkserver::audit
