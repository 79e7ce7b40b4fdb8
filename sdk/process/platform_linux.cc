#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "sdk/process/child_calls.h"
#include "sdk/process/platform.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77  // Linux 6.5
#endif

namespace forkserver {
namespace {

// A small file of /proc, whole; empty when it cannot be read.
std::string ReadSmallFile(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return {};
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t size = ::read(fd.get(), buffer, sizeof(buffer));
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(size));
  }
}

// The number after "Name:" in the text of /proc/PID/status, or -1.
long StatusField(const std::string& status, const char* name) {
  const std::size_t at = status.find(std::string("\n") + name + ":");
  if (at == std::string::npos) return -1;
  return std::strtol(status.c_str() + at + std::strlen(name) + 2, nullptr, 10);
}

// The bits after "Name:", or none.
std::uint64_t StatusMask(const std::string& status, const char* name) {
  const std::size_t at = status.find(std::string("\n") + name + ":");
  if (at == std::string::npos) return 0;
  return std::strtoull(status.c_str() + at + std::strlen(name) + 2, nullptr,
                       16);
}

std::vector<int> ListNumbers(const char* folder) {
  std::vector<int> numbers;
  DIR* const directory = ::opendir(folder);
  if (directory == nullptr) return numbers;
  while (const dirent* entry = ::readdir(directory)) {
    if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9') {
      numbers.push_back(std::atoi(entry->d_name));
    }
  }
  ::closedir(directory);
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

// The identity of a namespace ("mnt:[4026531841]"), or empty.
std::string NamespaceOf(const std::string& process, const char* kind) {
  char target[64];
  const std::string path = "/proc/" + process + "/ns/" + kind;
  const ssize_t size = ::readlink(path.c_str(), target, sizeof(target));
  return size <= 0 ? std::string()
                   : std::string(target, static_cast<std::size_t>(size));
}

}  // namespace

int CountThreads() {
  // Two links of the folder are "." and ".."; each thread is one more.
  struct stat status = {};
  if (::stat("/proc/self/task", &status) != 0) return -1;
  return static_cast<int>(status.st_nlink) - 2;
}

std::vector<ThreadInfo> ListThreads() {
  std::vector<ThreadInfo> threads;
  for (const int id : ListNumbers("/proc/self/task")) {
    std::string name =
        ReadSmallFile("/proc/self/task/" + std::to_string(id) + "/comm");
    if (!name.empty() && name.back() == '\n') name.pop_back();
    threads.push_back({id, std::move(name)});
  }
  // The first thread has the id of the process.
  std::stable_partition(
      threads.begin(), threads.end(),
      [](const ThreadInfo& thread) { return thread.id == ::getpid(); });
  return threads;
}

int CountOpenFds() {
  const std::vector<int> fds = ListNumbers("/proc/self/fd");
  // One of them was the listing itself.
  return fds.empty() ? -1 : static_cast<int>(fds.size()) - 1;
}

std::vector<int> ListOpenFds() {
  std::vector<int> fds = ListNumbers("/proc/self/fd");
  std::erase_if(fds, [](int fd) { return ::fcntl(fd, F_GETFD) < 0; });
  return fds;
}

std::vector<std::string> ListLibraries() {
  std::vector<std::string> paths;
  const std::string maps = ReadSmallFile("/proc/self/maps");
  for (std::size_t at = 0; at < maps.size();) {
    const std::size_t end = std::min(maps.find('\n', at), maps.size());
    const std::string line = maps.substr(at, end - at);
    at = end + 1;
    const std::size_t path = line.find('/');
    // "first-end r-xp ...": code.
    if (path == std::string::npos || line[line.find(' ') + 3] != 'x') continue;
    paths.push_back(line.substr(path));
  }
  std::sort(paths.begin(), paths.end());
  paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
  return paths;
}

void CloseDescriptorsFrom(int first, const std::vector<int>& keep) {
  std::vector<int> kept = keep;
  std::sort(kept.begin(), kept.end());
  auto next = static_cast<unsigned>(first);
  for (const int fd : kept) {
    if (fd < first) continue;
    const auto number = static_cast<unsigned>(fd);
    if (number > next) child_calls::CloseRange(next, number - 1, true);
    next = number + 1;
  }
  child_calls::CloseRange(next, ~0u, true);
}

bool BecomeSubreaper() { return ::prctl(PR_SET_CHILD_SUBREAPER, 1) == 0; }

UniqueFd OpenChildSignal() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  return UniqueFd(::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
}

pid_t ReadChildSignal(int fd) {
  signalfd_siginfo info = {};
  if (::read(fd, &info, sizeof(info)) <= 0) return 0;
  return static_cast<pid_t>(info.ssi_pid);
}

bool SetParentDeathSignal(int signal, pid_t expected_parent) {
  ::prctl(PR_SET_PDEATHSIG, signal);
  // The parent may have died before the call; then it never fires.
  return ::getppid() == expected_parent;
}

void StopForDebugger() {
  ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
  ::raise(SIGSTOP);
}

void PreferShortSlices() {
  // sched_attr, which libc does not declare.
  struct {
    std::uint32_t size;
    std::uint32_t policy;
    std::uint64_t flags;
    std::int32_t nice;
    std::uint32_t priority;
    std::uint64_t runtime_ns;
    std::uint64_t deadline_ns;
    std::uint64_t period_ns;
  } attributes = {};
  // Six arguments, as whoever stands in the place of syscall(2) reads them.
  if (::syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0, 0,
                0) != 0 ||
      attributes.policy != SCHED_OTHER || attributes.nice < 0) {
    return;
  }
  constexpr std::uint64_t kResetOnFork = 1;
  attributes.size = sizeof(attributes);
  attributes.flags = kResetOnFork;
  attributes.runtime_ns = 100'000;  // the least that there is
  ::syscall(SYS_sched_setattr, 0, &attributes, 0, 0, 0, 0);
}

char** OwnEnvironment() { return environ; }

void SetProcessName(const char* name) { ::prctl(PR_SET_NAME, name); }

std::string ExecutablePath() {
  char path[4096];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof(path));
  return size <= 0 ? std::string()
                   : std::string(path, static_cast<std::size_t>(size));
}

std::int64_t ResidentBytes() {
  const std::string statm = ReadSmallFile("/proc/self/statm");
  const std::size_t space = statm.find(' ');
  if (space == std::string::npos) return 0;
  return std::strtoll(statm.c_str() + space, nullptr, 10) *
         ::sysconf(_SC_PAGESIZE);
}

UniqueFd ReopenForWriting(int fd) { return Reopen(fd, O_WRONLY | O_NONBLOCK); }

UniqueFd Reopen(int fd, int flags) {
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  return UniqueFd(::open(path.c_str(), flags | O_NOCTTY | O_CLOEXEC));
}

UniqueFd MakeSealedFile(const char* name, std::size_t size) {
  UniqueFd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(size)) != 0 ||
      ::fcntl(fd.get(), F_ADD_SEALS,
              F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW) != 0) {
    return UniqueFd();
  }
  return fd;
}

UniqueFd MakeSharedFile(const char* name, std::size_t size, bool reserve) {
  UniqueFd fd(::memfd_create(name, MFD_CLOEXEC));
  const auto bytes = static_cast<off_t>(size);
  if (fd && (reserve ? ::fallocate(fd.get(), 0, 0, bytes)
                     : ::ftruncate(fd.get(), bytes)) != 0) {
    fd.Reset();
  }
  return fd;
}

Result<Peer> ReadPeer(int socket) {
  ucred credentials = {};
  socklen_t size = sizeof(credentials);
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return SystemError("getsockopt(SO_PEERCRED)", errno);
  }
  return Peer{credentials.pid, credentials.uid};
}

UniqueFd OpenProcess(pid_t pid, int socket) {
  if (socket >= 0) {
    int fd = -1;
    socklen_t size = sizeof(fd);
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &fd, &size) == 0) {
      return UniqueFd(fd);
    }
  }
  // Linux 5.3; close-on-exec by itself.
  return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

bool SignalProcess(int process_fd, int signal) {
  return ::syscall(SYS_pidfd_send_signal, process_fd, signal, nullptr, 0) == 0;
}

bool ProcessHasEnded(pid_t pid) {
  const std::string stat =
      ReadSmallFile("/proc/" + std::to_string(pid) + "/stat");
  // "pid (name) state ..."; the name may hold anything.
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos || name_end + 2 >= stat.size()) return true;
  return stat[name_end + 2] == 'Z' || stat[name_end + 2] == 'X';
}

std::int64_t ReadStartTime(pid_t pid) {
  const std::string stat =
      ReadSmallFile("/proc/" + std::to_string(pid) + "/stat");
  // "pid (name) state ...": the 22nd, and the name may hold anything.
  std::size_t at = stat.rfind(')');
  for (int field = 2; field < 22; ++field) {
    at = stat.find(' ', at);
    if (at == std::string::npos) return 0;
    ++at;
  }
  return std::strtoll(stat.c_str() + at, nullptr, 10);
}

std::string ReadBootId() {
  std::string id = ReadSmallFile("/proc/sys/kernel/random/boot_id");
  while (!id.empty() && id.back() == '\n') id.pop_back();
  return id;
}

std::optional<int> ReadWaitStatus(int process_fd) {
  // struct pidfd_info and PIDFD_GET_INFO of Linux 6.15, which libc's headers
  // may not have.
  struct {
    std::uint64_t mask;
    std::uint64_t cgroup;
    std::uint32_t ids[11];
    std::int32_t wait_status;
  } info = {};
  static_assert(sizeof(info) == 64);
  constexpr std::uint64_t kExit = 1 << 3;
  info.mask = kExit;
  if (::ioctl(process_fd, _IOC(_IOC_READ | _IOC_WRITE, 0xff, 11, sizeof(info)),
              &info) != 0 ||
      (info.mask & kExit) == 0) {
    return std::nullopt;
  }
  return info.wait_status;
}

bool TakesDefaultAction(pid_t pid, int signal) {
  const std::string status =
      ReadSmallFile("/proc/" + std::to_string(pid) + "/status");
  if (status.empty()) return false;
  const std::uint64_t handled =
      StatusMask(status, "SigIgn") | StatusMask(status, "SigCgt");
  return (handled >> (signal - 1) & 1) == 0;
}

std::string DescribeConfinement(pid_t pid) {
  const std::string process = std::to_string(pid);
  const std::string theirs = ReadSmallFile("/proc/" + process + "/status");
  const std::string ours = ReadSmallFile("/proc/self/status");
  if (theirs.empty()) return "its /proc/PID/status cannot be read";
  if (StatusField(theirs, "NoNewPrivs") > StatusField(ours, "NoNewPrivs")) {
    return "it has no_new_privs set and the daemon has not";
  }
  if (StatusField(theirs, "Seccomp") > StatusField(ours, "Seccomp")) {
    return "it runs under a seccomp filter and the daemon does not";
  }
  if (StatusField(theirs, "Seccomp_filters") >
      StatusField(ours, "Seccomp_filters")) {
    return "it runs under more seccomp filters than the daemon";
  }
  for (const char* set : {"CapPrm", "CapBnd"}) {
    if ((StatusMask(ours, set) & ~StatusMask(theirs, set)) != 0) {
      return std::string("its capabilities (") + set +
             ") are fewer than the daemon's";
    }
  }
  for (const char* kind : {"user", "mnt", "pid"}) {
    const std::string other = NamespaceOf(process, kind);
    if (other.empty()) {
      return std::string("its ") + kind + " namespace cannot be read";
    }
    if (other != NamespaceOf("self", kind)) {
      return std::string("it is in another ") + kind + " namespace";
    }
  }
  return {};
}

}  // namespace forkserver
