#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <map>
#include <memory>
#include <set>
#include <string_view>

#include "sdk/base/unique_fd.h"
#include "sdk/process/platform.h"
#include "sdk/process/process_tree.h"
#include "sdk/process/worker_variable.h"

namespace forkserver {
namespace {

// In one call: those that fork faster than they are killed are met again in the
// next.
constexpr int kMaxRounds = 16;

std::string ReadProcFile(pid_t pid, const std::string& file) {
  const std::string path = "/proc/" + std::to_string(pid) + "/" + file;
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  char buffer[16384];
  while (fd) {
    const ssize_t size = ::read(fd.get(), buffer, sizeof(buffer));
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    text.append(buffer, static_cast<std::size_t>(size));
  }
  return text;
}

void AddChildrenOfThread(pid_t pid, const char* thread,
                         std::vector<pid_t>& children) {
  const std::string text =
      ReadProcFile(pid, std::string("task/") + thread + "/children");
  const char* at = text.c_str();
  for (;;) {
    char* next = nullptr;
    const long child = std::strtol(at, &next, 10);
    if (next == at) return;
    children.push_back(static_cast<pid_t>(child));
    at = next;
  }
}

std::vector<pid_t> ChildrenOf(pid_t pid) {
  std::vector<pid_t> children;
  const std::string path = "/proc/" + std::to_string(pid) + "/task";
  const std::unique_ptr<DIR, int (*)(DIR*)> threads(::opendir(path.c_str()),
                                                    &::closedir);
  if (!threads) return children;
  while (const dirent* const entry = ::readdir(threads.get())) {
    if (entry->d_name[0] == '.') continue;
    AddChildrenOfThread(pid, entry->d_name, children);
  }
  return children;
}

// In the midst of an execve: it has no environment, nor arguments, and will
// have. Threads of the kernel have no program either.
bool IsExecuting(pid_t pid) {
  char program[1];
  const std::string link = "/proc/" + std::to_string(pid) + "/exe";
  return ReadProcFile(pid, "cmdline").empty() &&
         ::readlink(link.c_str(), program, sizeof(program)) > 0 &&
         !ProcessHasEnded(pid);
}

std::string FindWorker(const std::string& environment) {
  const std::string prefix = std::string(kWorkerVariable) + "=";
  for (std::size_t at = 0; at < environment.size();) {
    const std::size_t end =
        std::min(environment.find('\0', at), environment.size());
    if (environment.compare(at, prefix.size(), prefix) == 0) {
      return environment.substr(at + prefix.size(), end - at - prefix.size());
    }
    at = end + 1;
  }
  return {};
}

std::vector<pid_t> ListLive(const ProcessTree& tree) {
  std::vector<pid_t> live = ListTree(tree);
  std::erase_if(live, [](pid_t pid) { return ProcessHasEnded(pid); });
  return live;
}

}  // namespace

Orphans ListOrphans(pid_t heir, const std::function<bool(pid_t)>& is_known) {
  Orphans orphans;
  for (const pid_t child : ChildrenOf(heir)) {
    if (is_known(child)) continue;
    const std::string environment = ReadProcFile(child, "environ");
    const std::string worker = FindWorker(environment);
    if (ProcessHasEnded(child)) {
      orphans.unclear = true;
      orphans.ended.push_back(child);
    } else if (!worker.empty()) {
      orphans.of_worker[worker].push_back(child);
    } else if (environment.empty() && ReadProcFile(child, "cmdline").empty()) {
      orphans.unclear = true;
    }
  }
  return orphans;
}

Orphans FindByWorker(const std::function<bool(const std::string&)>& is_wanted) {
  Orphans found;
  const std::unique_ptr<DIR, int (*)(DIR*)> processes(::opendir("/proc"),
                                                      &::closedir);
  while (const dirent* const entry =
             processes ? ::readdir(processes.get()) : nullptr) {
    const pid_t pid = std::atoi(entry->d_name);
    if (pid <= 0) continue;
    const std::string environment = ReadProcFile(pid, "environ");
    const std::string worker = FindWorker(environment);
    if (environment.empty()) {
      found.unclear = found.unclear || IsExecuting(pid);
    } else if (!worker.empty() && is_wanted(worker) && !ProcessHasEnded(pid)) {
      found.of_worker[worker].push_back(pid);
    }
  }
  return found;
}

std::vector<pid_t> ListTree(const ProcessTree& tree,
                            const std::function<bool(pid_t)>& is_other) {
  std::set<pid_t> seen;
  std::vector<pid_t> found;
  const auto add = [&](pid_t pid) {
    if (seen.insert(pid).second) found.push_back(pid);
  };
  for (const pid_t orphan : tree.orphans) add(orphan);
  if (tree.root > 0) add(tree.root);
  for (std::size_t i = 0; i < found.size(); ++i) {
    for (const pid_t child : ChildrenOf(found[i])) {
      if (!is_other || !is_other(child)) add(child);
    }
  }
  return found;
}

int SignalTree(const ProcessTree& tree, int signal, pid_t except_group,
               const std::function<bool()>& is_still_it) {
  std::set<pid_t> reached;
  for (int round = 0; round < kMaxRounds; ++round) {
    std::map<pid_t, UniqueFd> held;
    for (const pid_t pid : ListLive(tree)) {
      if (reached.count(pid) != 0) continue;
      if (except_group != 0 && ::getpgid(pid) == except_group) continue;
      held[pid] = OpenProcess(pid);
    }
    if (held.empty() || !is_still_it()) break;
    // What has a number now may not be what had it a moment ago: those that
    // are still there once they are held are the ones.
    bool found_more = false;
    for (const pid_t pid : ListLive(tree)) {
      const auto one = held.find(pid);
      if (one == held.end()) continue;
      const bool sent = one->second ? SignalProcess(one->second.get(), signal)
                                    : ::kill(pid, signal) == 0;
      if (sent) found_more = reached.insert(pid).second || found_more;
    }
    // Another signal than KILL does not keep anybody from forking.
    if (!found_more || signal != SIGKILL) break;
  }
  return static_cast<int>(reached.size());
}

}  // namespace forkserver
