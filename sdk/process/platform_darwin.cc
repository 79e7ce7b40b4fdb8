#include <crt_externs.h>
#include <fcntl.h>
#include <libproc.h>
#include <mach-o/dyld.h>
#include <sys/mman.h>
#include <sys/proc.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/sysctl.h>
#include <sys/ucred.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <string>

#include "sdk/process/child_calls.h"
#include "sdk/process/platform.h"

namespace forkserver {

int CountThreads() {
  struct proc_taskinfo info = {};
  const int size =
      ::proc_pidinfo(::getpid(), PROC_PIDTASKINFO, 0, &info, sizeof(info));
  return size == static_cast<int>(sizeof(info)) ? info.pti_threadnum : -1;
}

std::vector<ThreadInfo> ListThreads() {
  std::uint64_t ids[256] = {};
  const int size =
      ::proc_pidinfo(::getpid(), PROC_PIDLISTTHREADS, 0, ids, sizeof(ids));
  std::vector<ThreadInfo> threads;
  for (int i = 0; i < size / static_cast<int>(sizeof(ids[0])); ++i) {
    struct proc_threadinfo info = {};
    ::proc_pidinfo(::getpid(), PROC_PIDTHREADINFO, ids[i], &info, sizeof(info));
    threads.push_back({static_cast<std::int64_t>(ids[i]), info.pth_name});
  }
  return threads;
}

int CountOpenFds() {
  const int size = ::proc_pidinfo(::getpid(), PROC_PIDLISTFDS, 0, nullptr, 0);
  if (size <= 0) return -1;
  std::vector<struct proc_fdinfo> listed(static_cast<std::size_t>(size) /
                                         sizeof(struct proc_fdinfo));
  const int filled =
      ::proc_pidinfo(::getpid(), PROC_PIDLISTFDS, 0, listed.data(), size);
  return filled <= 0 ? -1
                     : filled / static_cast<int>(sizeof(struct proc_fdinfo));
}

std::vector<int> ListOpenFds() {
  std::vector<struct proc_fdinfo> listed(4096);
  const int size = ::proc_pidinfo(
      ::getpid(), PROC_PIDLISTFDS, 0, listed.data(),
      static_cast<int>(listed.size() * sizeof(struct proc_fdinfo)));
  std::vector<int> fds;
  for (int i = 0; i < size / static_cast<int>(sizeof(struct proc_fdinfo));
       ++i) {
    fds.push_back(listed[static_cast<std::size_t>(i)].proc_fd);
  }
  std::sort(fds.begin(), fds.end());
  return fds;
}

std::vector<std::string> ListLibraries() {
  std::vector<std::string> paths;
  for (std::uint32_t i = 0; i < ::_dyld_image_count(); ++i) {
    const char* const path = ::_dyld_get_image_name(i);
    if (path != nullptr) paths.emplace_back(path);
  }
  std::sort(paths.begin(), paths.end());
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

bool BecomeSubreaper() { return false; }

UniqueFd OpenChildSignal() { return UniqueFd(); }
pid_t ReadChildSignal(int) { return 0; }

bool SetParentDeathSignal(int, pid_t expected_parent) {
  return ::getppid() == expected_parent;
}

// libc has no way, and CoreFoundation's would make every child unsafe.
void StopForDebugger() { ::raise(SIGSTOP); }

void PreferShortSlices() {}

char** OwnEnvironment() { return *_NSGetEnviron(); }

void SetProcessName(const char*) {}

std::string ExecutablePath() {
  char path[PATH_MAX];
  std::uint32_t size = sizeof(path);
  return ::_NSGetExecutablePath(path, &size) == 0 ? std::string(path)
                                                  : std::string();
}

std::int64_t ResidentBytes() {
  struct proc_taskinfo info = {};
  const int size =
      ::proc_pidinfo(::getpid(), PROC_PIDTASKINFO, 0, &info, sizeof(info));
  return size == static_cast<int>(sizeof(info))
             ? static_cast<std::int64_t>(info.pti_resident_size)
             : 0;
}

Result<Peer> ReadPeer(int socket) {
  Peer peer;
  gid_t group = 0;
  if (::getpeereid(socket, &peer.uid, &group) != 0) {
    return SystemError("getpeereid()", errno);
  }
  socklen_t size = sizeof(peer.pid);
  if (::getsockopt(socket, SOL_LOCAL, LOCAL_PEERPID, &peer.pid, &size) != 0) {
    return SystemError("getsockopt(LOCAL_PEERPID)", errno);
  }
  return peer;
}

UniqueFd OpenProcess(pid_t, int) { return UniqueFd(); }

bool SignalProcess(int, int) { return false; }  // there is no descriptor

bool ProcessHasEnded(pid_t pid) {
  struct proc_bsdinfo info = {};
  const int size =
      ::proc_pidinfo(pid, PROC_PIDTBSDINFO, 0, &info, sizeof(info));
  return size != static_cast<int>(sizeof(info)) || info.pbi_status == SZOMB;
}

std::int64_t ReadStartTime(pid_t pid) {
  struct proc_bsdinfo info = {};
  const int size =
      ::proc_pidinfo(pid, PROC_PIDTBSDINFO, 0, &info, sizeof(info));
  if (size != static_cast<int>(sizeof(info))) return 0;
  return static_cast<std::int64_t>(info.pbi_start_tvsec) * 1'000'000 +
         static_cast<std::int64_t>(info.pbi_start_tvusec);
}

std::string ReadBootId() {
  char id[64] = {};
  std::size_t size = sizeof(id) - 1;
  if (::sysctlbyname("kern.bootsessionuuid", id, &size, nullptr, 0) != 0) {
    return {};
  }
  return id;
}

std::optional<int> ReadWaitStatus(int) { return std::nullopt; }

bool TakesDefaultAction(pid_t pid, int signal) {
  int query[] = {CTL_KERN, KERN_PROC, KERN_PROC_PID, pid};
  struct kinfo_proc info = {};
  std::size_t size = sizeof(info);
  if (::sysctl(query, 4, &info, &size, nullptr, 0) != 0 ||
      size != sizeof(info)) {
    return false;
  }
  const sigset_t handled = info.kp_proc.p_sigignore | info.kp_proc.p_sigcatch;
  return sigismember(&handled, signal) == 0;
}

UniqueFd ReopenForWriting(int) { return UniqueFd(); }

UniqueFd Reopen(int fd, int flags) {
  char path[PATH_MAX];
  if (::fcntl(fd, F_GETPATH, path) != 0) return UniqueFd();
  return UniqueFd(::open(path, flags | O_NOCTTY | O_CLOEXEC));
}

UniqueFd MakeSealedFile(const char*, std::size_t) { return UniqueFd(); }

UniqueFd MakeSharedFile(const char* name, std::size_t size, bool) {
  // Its name must be new, and is taken away again at once.
  const std::string path =
      "/" + std::string(name).substr(0, 20) + "." + std::to_string(::getpid());
  ::shm_unlink(path.c_str());
  UniqueFd fd(::shm_open(path.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600));
  if (!fd) return fd;
  ::shm_unlink(path.c_str());
  ::fcntl(fd.get(), F_SETFD, FD_CLOEXEC);
  if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) fd.Reset();
  return fd;
}

std::string DescribeConfinement(pid_t) {
  // Sandboxes of macOS cannot be asked about from outside without SPI.
  return {};
}

}  // namespace forkserver
