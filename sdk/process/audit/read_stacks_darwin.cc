// The stacks of another process take task_for_pid(), which macOS gives to
// debuggers only. See sample(1).
#include <libproc.h>

#include "sdk/process/audit/read_stacks.h"

namespace forkserver::audit {

std::vector<std::string> ReadStacks(pid_t) { return {}; }

std::vector<pid_t> ListChildren(pid_t pid) {
  std::vector<pid_t> children(4096);
  const int size = ::proc_listchildpids(
      pid, children.data(), static_cast<int>(children.size() * sizeof(pid_t)));
  children.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return children;
}

}  // namespace forkserver::audit
