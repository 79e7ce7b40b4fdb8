#include <libproc.h>
#include <sys/proc.h>
#include <sys/sysctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <set>
#include <string_view>

#include "sdk/process/platform.h"
#include "sdk/process/process_tree.h"
#include "sdk/process/worker_variable.h"

namespace forkserver {
namespace {

std::vector<pid_t> ListOwnProcesses() {
  std::vector<pid_t> pids(64);
  for (;;) {
    const int bytes =
        ::proc_listpids(PROC_UID_ONLY, ::geteuid(), pids.data(),
                        static_cast<int>(pids.size() * sizeof(pid_t)));
    if (bytes <= 0) return {};
    const std::size_t count = static_cast<std::size_t>(bytes) / sizeof(pid_t);
    if (count < pids.size()) {
      pids.resize(count);
      return pids;
    }
    pids.resize(pids.size() * 2);
  }
}

pid_t ParentOf(pid_t pid) {
  proc_bsdinfo info = {};
  const int size =
      ::proc_pidinfo(pid, PROC_PIDTBSDINFO, 0, &info, sizeof(info));
  return size == static_cast<int>(sizeof(info))
             ? static_cast<pid_t>(info.pbi_ppid)
             : 0;
}

// KERN_PROCARGS2: argc, the program, its arguments and its environment, each
// with a zero byte behind it.
bool HasVariable(pid_t pid, const std::string& wanted) {
  int name[] = {CTL_KERN, KERN_PROCARGS2, pid};
  std::size_t size = 0;
  if (::sysctl(name, 3, nullptr, &size, nullptr, 0) != 0) return false;
  std::string text(size, '\0');
  if (::sysctl(name, 3, text.data(), &size, nullptr, 0) != 0) return false;
  text.resize(size);
  const std::string whole = std::string(1, '\0') + wanted + '\0';
  return text.find(whole) != std::string::npos;
}

}  // namespace

std::vector<pid_t> ListTree(const ProcessTree& tree) {
  const std::string wanted = std::string(kWorkerVariable) + "=" + tree.worker;
  const std::vector<pid_t> all = ListOwnProcesses();
  std::set<pid_t> members;
  if (tree.root > 0) members.insert(tree.root);
  for (const pid_t pid : all) {
    if (pid == ::getpid() || (tree.is_known && tree.is_known(pid))) continue;
    if (HasVariable(pid, wanted)) members.insert(pid);
  }
  for (bool grown = true; grown;) {
    grown = false;
    for (const pid_t pid : all) {
      if (members.count(pid) == 0 && members.count(ParentOf(pid)) != 0) {
        grown = members.insert(pid).second || grown;
      }
    }
  }
  std::vector<pid_t> found;
  for (const pid_t pid : members) {
    if (!ProcessHasEnded(pid)) found.push_back(pid);
  }
  return found;
}

int SignalTree(const ProcessTree& tree, int signal, pid_t except_group) {
  int reached = 0;
  for (const pid_t pid : ListTree(tree)) {
    if (except_group != 0 && ::getpgid(pid) == except_group) continue;
    if (::kill(pid, signal) == 0) ++reached;
  }
  return reached;
}

}  // namespace forkserver
