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
std::string FindWorker(pid_t pid) {
  int name[] = {CTL_KERN, KERN_PROCARGS2, pid};
  std::size_t size = 0;
  if (::sysctl(name, 3, nullptr, &size, nullptr, 0) != 0) return {};
  std::string text(size, '\0');
  if (::sysctl(name, 3, text.data(), &size, nullptr, 0) != 0) return {};
  text.resize(size);
  const std::string prefix =
      std::string(1, '\0') + std::string(kWorkerVariable) + "=";
  const std::size_t at = text.find(prefix);
  if (at == std::string::npos) return {};
  const std::size_t begin = at + prefix.size();
  return text.substr(begin, text.find('\0', begin) - begin);
}

}  // namespace

Orphans FindByWorker(const std::function<bool(const std::string&)>& is_wanted) {
  Orphans found;
  for (const pid_t pid : ListOwnProcesses()) {
    const std::string worker = FindWorker(pid);
    if (!worker.empty() && is_wanted(worker) && !ProcessHasEnded(pid)) {
      found.of_worker[worker].push_back(pid);
    }
  }
  return found;
}

Orphans ListOrphans(pid_t heir, const std::function<bool(pid_t)>& is_known) {
  Orphans orphans;
  for (const pid_t pid : ListOwnProcesses()) {
    if (pid == heir || is_known(pid)) continue;
    if (const std::string worker = FindWorker(pid);
        !worker.empty() && !ProcessHasEnded(pid)) {
      orphans.of_worker[worker].push_back(pid);
    }
  }
  return orphans;
}

std::vector<pid_t> ListTree(const ProcessTree& tree,
                            const std::function<bool(pid_t)>& is_other) {
  const std::vector<pid_t> all = ListOwnProcesses();
  std::set<pid_t> members(tree.orphans.begin(), tree.orphans.end());
  if (tree.root > 0) members.insert(tree.root);
  for (bool grown = true; grown;) {
    grown = false;
    for (const pid_t pid : all) {
      if (members.count(pid) == 0 && members.count(ParentOf(pid)) != 0 &&
          (!is_other || !is_other(pid))) {
        grown = members.insert(pid).second || grown;
      }
    }
  }
  return {members.begin(), members.end()};
}

int SignalTree(const ProcessTree& tree, int signal, pid_t except_group,
               const std::function<bool()>& is_still_it) {
  int reached = 0;
  if (!is_still_it()) return 0;
  for (const pid_t pid : ListTree(tree)) {
    if (ProcessHasEnded(pid)) continue;
    if (except_group != 0 && ::getpgid(pid) == except_group) continue;
    if (::kill(pid, signal) == 0) ++reached;
  }
  return reached;
}

}  // namespace forkserver
