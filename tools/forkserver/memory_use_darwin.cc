#include <libproc.h>
#include <sys/resource.h>

#include <algorithm>

#include "tools/forkserver/memory_use.h"

namespace forkserver::cli {

std::optional<MemoryUse> ReadMemoryUse(pid_t pid) {
  rusage_info_v0 info = {};
  if (::proc_pid_rusage(pid, RUSAGE_INFO_V0,
                        reinterpret_cast<rusage_info_t*>(&info)) != 0) {
    return std::nullopt;
  }
  MemoryUse use;
  use.private_bytes = static_cast<std::int64_t>(info.ri_phys_footprint);
  use.shared_bytes = std::max<std::int64_t>(
      0, static_cast<std::int64_t>(info.ri_resident_size) - use.private_bytes);
  return use;
}

}  // namespace forkserver::cli
