#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "sdk/process/platform.h"
#include "tools/harness/run/orphans.h"

namespace forkserver::harness {
namespace {

constexpr std::string_view kAttempt = "FORKSERVER_TEST_ATTEMPT=";
constexpr std::string_view kPage = "/memfd:";
constexpr std::string_view kPagePrefix = "forkserver-report-";

std::string ReadFile(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  char buffer[16384];
  ssize_t size;
  while (fd && (size = ::read(fd.get(), buffer, sizeof(buffer))) > 0) {
    text.append(buffer, static_cast<std::size_t>(size));
  }
  return text;
}

std::string ProcPath(pid_t pid, const char* file) {
  return "/proc/" + std::to_string(pid) + "/" + file;
}

std::vector<pid_t> ParsePids(std::string_view text) {
  std::vector<pid_t> pids;
  pid_t pid = 0;
  for (const char letter : text) {
    if (letter >= '0' && letter <= '9') {
      pid = pid * 10 + (letter - '0');
    } else if (pid != 0) {
      pids.push_back(std::exchange(pid, 0));
    }
  }
  if (pid != 0) pids.push_back(pid);
  return pids;
}

// The environment that it was executed with. In the midst of an execve(2) a
// process has none for a moment, as it has no arguments.
std::string ReadEnvironment(pid_t pid) {
  constexpr int kPatienceMs = 100;
  const std::string path = ProcPath(pid, "environ");
  std::string environment;
  for (int waited_ms = 0; waited_ms < kPatienceMs; ++waited_ms) {
    environment = ReadFile(path);
    if (!environment.empty() || ProcessHasEnded(pid)) break;
    if (!ReadFile(ProcPath(pid, "cmdline")).empty()) return ReadFile(path);
    ::usleep(1000);
  }
  return environment;
}

std::string FindAttempt(pid_t pid) {
  const std::string environment = ReadEnvironment(pid);
  for (std::size_t at = 0; at < environment.size();) {
    const std::size_t end =
        std::min(environment.find('\0', at), environment.size());
    const std::string_view variable(environment.data() + at, end - at);
    if (variable.substr(0, kAttempt.size()) == kAttempt) {
      return std::string(variable.substr(kAttempt.size()));
    }
    at = end + 1;
  }
  return {};
}

std::string FindPage(pid_t pid) {
  const std::string maps = ReadFile(ProcPath(pid, "maps"));
  const std::string wanted = std::string(kPage) + std::string(kPagePrefix);
  const std::size_t at = maps.find(wanted);
  if (at == std::string::npos) return {};
  const std::size_t begin = at + kPage.size();
  return maps.substr(begin, maps.find_first_of(" \n", begin) - begin);
}

std::string Command(pid_t pid) {
  std::string command = ReadFile(ProcPath(pid, "cmdline"));
  while (!command.empty() && command.back() == '\0') command.pop_back();
  for (char& letter : command) {
    if (static_cast<unsigned char>(letter) < ' ') letter = ' ';
  }
  constexpr std::size_t kMostBytes = 200;
  if (command.size() > kMostBytes) command.resize(kMostBytes);
  return command;
}

// `pid`, its children, and theirs.
void AddTree(pid_t pid, std::vector<Orphan>& found) {
  if (ProcessHasEnded(pid)) return;
  Orphan orphan;
  orphan.pid = pid;
  orphan.process = OpenProcess(pid);
  orphan.command = Command(pid);
  found.push_back(std::move(orphan));
  const std::string task = "task/" + std::to_string(pid) + "/children";
  for (const pid_t child : ParsePids(ReadFile(ProcPath(pid, task.c_str())))) {
    AddTree(child, found);
  }
}

}  // namespace

OrphanSearch::OrphanSearch(pid_t daemon)
    : daemon_(daemon),
      children_(::open(
          ProcPath(daemon,
                   ("task/" + std::to_string(daemon) + "/children").c_str())
              .c_str(),
          O_RDONLY | O_CLOEXEC)) {}

std::vector<Orphan> OrphanSearch::Find(const std::string& attempt_id,
                                       const std::string& page_name,
                                       pid_t group) {
  std::map<pid_t, Child> now;
  std::vector<Orphan> found;
  for (const pid_t pid : ListChildren()) {
    const auto known = known_.find(pid);
    Child child;
    if (known != known_.end()) {
      child = known->second;
    } else {
      child.attempt_id = FindAttempt(pid);
      if (child.attempt_id.empty()) child.page_name = FindPage(pid);
    }
    const bool is_its =
        (!child.attempt_id.empty() && child.attempt_id == attempt_id) ||
        (!child.page_name.empty() && child.page_name == page_name);
    if (is_its && ::getpgid(pid) != group) AddTree(pid, found);
    now.emplace(pid, std::move(child));
  }
  known_ = std::move(now);
  return found;
}

std::set<pid_t> OrphanSearch::ListChildren() const {
  std::set<pid_t> pids = ReadChildren();
  const bool as_before =
      pids.size() == known_.size() &&
      std::equal(pids.begin(), pids.end(), known_.begin(),
                 [](pid_t pid, const auto& one) { return pid == one.first; });
  // The kernel may leave one out while another is reaped.
  if (!as_before) pids.merge(ReadChildren());
  return pids;
}

std::set<pid_t> OrphanSearch::ReadChildren() const {
  std::string text;
  char buffer[8192];
  ssize_t size;
  do {
    size = ::pread(children_.get(), buffer, sizeof(buffer),
                   static_cast<off_t>(text.size()));
    if (size > 0) text.append(buffer, static_cast<std::size_t>(size));
    // One read(2) of such a file is at most a page; much less is the end.
  } while (size > 2048);
  const std::vector<pid_t> pids = ParsePids(text);
  return {pids.begin(), pids.end()};
}

}  // namespace forkserver::harness
