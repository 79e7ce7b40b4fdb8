#include <libproc.h>
#include <sys/proc.h>

#include "sdk/process/leftovers.h"

namespace forkserver {

std::vector<std::string> FindLeftovers(pid_t group, pid_t /*heir*/) {
  pid_t members[256];
  const int bytes =
      ::proc_listpgrppids(group, members, static_cast<int>(sizeof(members)));
  std::vector<std::string> leftovers;
  for (int i = 0; i < bytes / static_cast<int>(sizeof(pid_t)); ++i) {
    if (leftovers.size() == kMaxLeftovers) break;
    if (members[i] == group) continue;
    proc_bsdinfo info = {};
    if (::proc_pidinfo(members[i], PROC_PIDTBSDINFO, 0, &info, sizeof(info)) <
            static_cast<int>(sizeof(info)) ||
        info.pbi_status == SZOMB) {
      continue;
    }
    leftovers.push_back(std::to_string(members[i]) + " " + info.pbi_comm);
  }
  return leftovers;
}

}  // namespace forkserver
