// Deaths that others have died before, and the sentence that explains each:
// known_deaths.json, which is a part of the program. A row holds if all that
// it names does:
//
//   signals     the name of the signal is one of these
//   reasons     the record's reason is one of these
//   address     the fault address is in [first, last]
//   top_module  a pattern in the path of the innermost frame's module
//   module      a pattern in that of any of the five innermost
//   text        a pattern in the end of standard error or the traceback
//
// Patterns are ECMAScript's. `anchor` is one of docs/fork_safety.md, `source`
// says who says so.
#pragma once

#include <forkserver/types.h>

#include <string>
#include <vector>

#include "tools/forkserver/explanation.h"

namespace forkserver::cli {

// In the order of the table.
std::vector<KnownDeath> FindKnownDeaths(const ExitRecord& record);

}  // namespace forkserver::cli
