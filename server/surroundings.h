// What a process has from its parent, hands on to every worker, and no request
// names: niceness, scheduling, CPUs, memory policy, the OOM killer's opinion
// and the like. For a forkserverd that anybody may have started: its workers
// are not to have the surroundings of whoever came first.
#pragma once

#include <string>
#include <vector>

namespace forkserver::server {

// Sets them to what a fresh login has. Each text is one that stays as it is,
// because the system does not let it go: "niceness 10 (setpriority: ...)". The
// two sides are surroundings_linux.cc and surroundings_darwin.cc.
std::vector<std::string> ResetSurroundings();

}  // namespace forkserver::server
