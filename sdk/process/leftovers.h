// What a worker leaves behind in its process group when it ends. The two sides
// are leftovers_linux.cc and leftovers_darwin.cc.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace forkserver {

// The processes of `group` that live on, as "4711 sleep 100", each cut to
// kMaxLeftoverBytes and not more than kMaxLeftovers of them. Call when the
// leader has ended and is not reaped yet, so that the number is the group's.
// `heir` is the process that inherits orphans: the daemon. A process that has
// ended, or is being killed, is not one. Reads small files; empty where the
// system does not tell.
//
// Linux: a process is found when it is a child of the heir, as those are whose
// parent has ended; where the kernel has CONFIG_PROC_CHILDREN.
std::vector<std::string> FindLeftovers(pid_t group, pid_t heir);

// So that they fit into a report of kMaxReportBytes.
inline constexpr std::size_t kMaxLeftovers = 3;
inline constexpr std::size_t kMaxLeftoverBytes = 64;

}  // namespace forkserver
