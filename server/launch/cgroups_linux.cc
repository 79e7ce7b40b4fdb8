#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <sstream>
#include <string_view>
#include <utility>

#include "server/launch/cgroups.h"

namespace forkserver::server {
namespace {

constexpr char kDaemonPrefix[] = "forkserverd.";
constexpr char kWorkerPrefix[] = "worker.";
// In microseconds, the kernel's own default.
constexpr std::int64_t kCpuPeriodUs = 100'000;

// Empty, with errno, where it cannot be read.
std::string ReadFile(const std::string& path) {
  std::string text;
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char buffer[4096];
  while (file) {
    const ssize_t size = ::read(file.get(), buffer, sizeof(buffer));
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    text.append(buffer, static_cast<std::size_t>(size));
  }
  return text;
}

Result<void> WriteFile(const std::string& path, const std::string& text) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (file && ::write(file.get(), text.data(), text.size()) >= 0) return {};
  const int number = errno;
  return SystemError("write(" + path + ", " + text + ")", number);
}

std::vector<std::string> WordsOf(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

// Of a text of lines "key value".
std::int64_t ValueOf(const std::string& text, std::string_view key) {
  const std::vector<std::string> words = WordsOf(text);
  for (std::size_t i = 0; i + 1 < words.size(); i += 2) {
    if (words[i] == key) return std::atoll(words[i + 1].c_str());
  }
  return 0;
}

std::vector<std::string> FoldersIn(const std::string& path) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()),
                                                   &::closedir);
  while (folder) {
    const dirent* const entry = ::readdir(folder.get());
    if (entry == nullptr) break;
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
      names.emplace_back(entry->d_name);
    }
  }
  return names;
}

// With the cgroups that a worker made in its own. False while somebody is in
// it.
bool RemoveFolder(const std::string& path) {
  for (const std::string& name : FoldersIn(path)) {
    if (!RemoveFolder(path + "/" + name)) return false;
  }
  return ::rmdir(path.c_str()) == 0 || errno == ENOENT;
}

// mountinfo writes a space as \040.
std::string Unescape(const std::string& text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      plain += static_cast<char>(
          std::strtol(text.substr(i + 1, 3).c_str(), nullptr, 8));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

// The folder of the cgroup of this process, or an empty text.
std::string OwnFolder() {
  std::istringstream cgroups(ReadFile("/proc/self/cgroup"));
  std::string own;
  for (std::string line; std::getline(cgroups, line);) {
    if (line.rfind("0::", 0) == 0) own = line.substr(3);
  }
  if (own.empty()) return {};
  std::istringstream mounts(ReadFile("/proc/self/mountinfo"));
  for (std::string line; std::getline(mounts, line);) {
    const auto dash = line.find(" - ");
    if (dash == line.npos || line.compare(dash, 11, " - cgroup2 ") != 0) {
      continue;
    }
    // id, parent, device, root, mount point, ...
    const std::vector<std::string> words = WordsOf(line);
    const std::string root = words[3] == "/" ? "" : Unescape(words[3]);
    if (own.compare(0, root.size(), root) != 0) continue;
    std::string folder = Unescape(words[4]) + own.substr(root.size());
    while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
    return folder;
  }
  return {};
}

std::string LeafOfThisProcess() {
  return kDaemonPrefix + std::to_string(::getpid());
}

}  // namespace

Cgroups Cgroups::Claim() {
  Cgroups cgroups;
  std::string folder = OwnFolder();
  if (folder.empty()) {
    cgroups.why_not_ = "this system has no cgroup v2 that it can see";
    return cgroups;
  }
  const std::string leaf = "/" + LeafOfThisProcess();
  // It was here before, and has executed itself.
  const bool returned =
      folder.size() > leaf.size() &&
      folder.compare(folder.size() - leaf.size(), leaf.size(), leaf) == 0;
  if (returned) folder.resize(folder.size() - leaf.size());
  for (const char* const file :
       {"", "/cgroup.procs", "/cgroup.subtree_control"}) {
    const std::string path = folder + file;
    if (::access(path.c_str(), W_OK) == 0) continue;
    cgroups.why_not_ = "its cgroup is not its own: " +
                       SystemError("access(" + path + ")", errno).message;
    return cgroups;
  }
  const std::vector<std::string> members =
      WordsOf(ReadFile(folder + "/cgroup.procs"));
  if (!returned && members != std::vector{std::to_string(::getpid())}) {
    cgroups.why_not_ = "its cgroup is not its own: others are in " + folder;
    return cgroups;
  }
  for (const std::string& name : FoldersIn(folder)) {
    if (name.rfind(kDaemonPrefix, 0) == 0 ||
        name.rfind(kWorkerPrefix, 0) == 0) {
      RemoveFolder(folder + "/" + name);
    }
  }
  if (!returned) {
    if (::mkdir((folder + leaf).c_str(), 0755) != 0 && errno != EEXIST) {
      cgroups.why_not_ =
          "its cgroup is not its own: " +
          SystemError("mkdir(" + folder + leaf + ")", errno).message;
      return cgroups;
    }
    if (auto moved = WriteFile(folder + leaf + "/cgroup.procs", "0"); !moved) {
      ::rmdir((folder + leaf).c_str());
      cgroups.why_not_ = "it cannot leave its cgroup: " + moved.error().message;
      return cgroups;
    }
  }
  for (const std::string& name :
       WordsOf(ReadFile(folder + "/cgroup.controllers"))) {
    if (name == "memory" || name == "pids" || name == "cpu") {
      cgroups.controllers_.push_back(name);
    }
  }
  cgroups.folder_ = std::move(folder);
  cgroups.why_not_.clear();
  return cgroups;
}

Cgroups Cgroups::Resume(protocol::HandedCgroups handed) {
  Cgroups cgroups;
  cgroups.folder_ = std::move(handed.folder);
  cgroups.why_not_ = std::move(handed.why_not);
  cgroups.controllers_ = std::move(handed.controllers);
  cgroups.enabled_ = {handed.enabled.begin(), handed.enabled.end()};
  cgroups.left_ = std::move(handed.left);
  return cgroups;
}

protocol::HandedCgroups Cgroups::WriteDown() const {
  return {folder_,
          why_not_,
          controllers_,
          {enabled_.begin(), enabled_.end()},
          left_};
}

Cgroups::Cgroups(Cgroups&& other) noexcept
    : folder_(std::exchange(other.folder_, {})),
      why_not_(std::move(other.why_not_)),
      controllers_(std::move(other.controllers_)),
      enabled_(std::move(other.enabled_)),
      left_(std::move(other.left_)) {}

Cgroups::~Cgroups() {
  if (folder_.empty()) return;
  RemoveLeft();
  TakeLimits(ControlFile());
  if (WriteFile(folder_ + "/cgroup.procs", "0")) {
    ::rmdir((folder_ + "/" + LeafOfThisProcess()).c_str());
  }
}

std::string Cgroups::ControlFile() const {
  return folder_.empty() ? "" : folder_ + "/cgroup.subtree_control";
}

void Cgroups::TakeLimits(const std::string& control_file) {
  for (const char* const each : {"-memory", "-pids", "-cpu"}) {
    static_cast<void>(WriteFile(control_file, each));
  }
}

std::string Cgroups::PathOf(ProcessKey key) const {
  return folder_ + "/" + kWorkerPrefix + std::to_string(::getpid()) + "." +
         std::to_string(key);
}

Result<void> Cgroups::Limit(const std::string& folder, const char* key,
                            const char* controller, const char* file,
                            const std::string& value) {
  if (std::find(controllers_.begin(), controllers_.end(), controller) ==
      controllers_.end()) {
    std::string others;
    for (const std::string& name : controllers_) {
      others += (others.empty() ? "" : ", ") + name;
    }
    return MakeError(
        error_code::kUnsupported,
        std::string("'") + key + "' needs the cgroup controller '" +
            controller + "', which " + folder_ + " does not have; it has " +
            (others.empty() ? "none that limits" : others),
        "whoever made that cgroup can give it one, unless the kernel has none "
        "or uses it with cgroup v1");
  }
  if (enabled_.count(controller) == 0) {
    if (auto enabled = WriteFile(ControlFile(), std::string("+") + controller);
        !enabled) {
      return enabled;
    }
    enabled_.insert(controller);
  }
  return WriteFile(folder + "/" + file, value);
}

Result<UniqueFd> Cgroups::Make(ProcessKey key, const CgroupLimits& limits) {
  if (!available()) {
    return MakeError(error_code::kUnsupported,
                     "limits of memory, tasks and CPU time need a cgroup of "
                     "forkserverd's own: " +
                         why_not_,
                     "`forkserver enable` makes a systemd unit that has one "
                     "(Delegate=yes)");
  }
  RemoveLeft();
  const auto failed = [this, key](Error error) {
    Remove(key);
    if (error.code == error_code::kUnsupported) return error;
    error.code = error_code::kLaunchFailed;
    error.step = "cgroup";
    return error;
  };
  const std::string folder = PathOf(key);
  if (::mkdir(folder.c_str(), 0755) != 0) {
    return failed(SystemError("mkdir(" + folder + ")", errno));
  }
  Result<void> limited;
  if (limits.memory_max_bytes > 0) {
    limited = Limit(folder, "memory_max_bytes", "memory", "memory.max",
                    std::to_string(limits.memory_max_bytes));
  }
  if (limited && limits.tasks_max > 0) {
    limited = Limit(folder, "tasks_max", "pids", "pids.max",
                    std::to_string(limits.tasks_max));
  }
  if (limited && limits.cpu_max_percent > 0) {
    limited =
        Limit(folder, "cpu_max_percent", "cpu", "cpu.max",
              std::to_string(limits.cpu_max_percent * (kCpuPeriodUs / 100)) +
                  " " + std::to_string(kCpuPeriodUs));
  }
  if (!limited) return failed(limited.error());
  const std::string procs = folder + "/cgroup.procs";
  UniqueFd file(::open(procs.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) return failed(SystemError("open(" + procs + ")", errno));
  return file;
}

std::vector<pid_t> Cgroups::Members(ProcessKey key) const {
  std::vector<pid_t> members;
  for (const std::string& word :
       WordsOf(ReadFile(PathOf(key) + "/cgroup.procs"))) {
    // 0: of another pid namespace.
    const auto pid = static_cast<pid_t>(std::atoi(word.c_str()));
    if (pid > 1) members.push_back(pid);
  }
  return members;
}

bool Cgroups::Kill(ProcessKey key) const {
  const std::string folder = PathOf(key);
  const std::string events = ReadFile(folder + "/cgroup.events");
  // It is gone, or there is no descriptor to look with: then look again.
  if (events.empty()) return errno != ENOENT && errno != ENODEV;
  if (ValueOf(events, "populated") == 0) return false;
  // Linux 5.14; before that one by one, and again as long as there are some.
  if (!WriteFile(folder + "/cgroup.kill", "1")) {
    for (const pid_t pid : Members(key)) ::kill(pid, SIGKILL);
  }
  return true;
}

std::int64_t Cgroups::CountOomKills(ProcessKey key) const {
  return ValueOf(ReadFile(PathOf(key) + "/memory.events"), "oom_kill");
}

void Cgroups::Remove(ProcessKey key) {
  if (!available()) return;
  left_.push_back(PathOf(key));
  RemoveLeft();
}

void Cgroups::RemoveLeft() { std::erase_if(left_, RemoveFolder); }

}  // namespace forkserver::server
