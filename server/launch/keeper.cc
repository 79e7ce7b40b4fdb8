#include "server/launch/keeper.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>
#include <set>
#include <string>
#include <utility>

#include "sdk/base/unix_socket.h"
#include "sdk/process/platform.h"
#include "sdk/process/process_tree.h"
#include "server/launch/cgroups.h"

namespace forkserver::server {
namespace {

// The keys first. It crosses upgrades.
constexpr std::size_t kTableBytes =
    Keeper::kSlots * (sizeof(ProcessKey) + sizeof(pid_t));
static_assert(sizeof(std::atomic<pid_t>) == sizeof(pid_t));
static_assert(sizeof(std::atomic<ProcessKey>) == sizeof(ProcessKey));

// What forks faster than it is killed is met again in the next look.
constexpr int kLooks = 100;
constexpr timespec kBetweenLooks = {0, 5'000'000};

// Kills everything that was executed as a part of these workers.
void KillLeftBehind(const std::set<std::string>& workers) {
  if (workers.empty()) return;
  const auto is_wanted = [&](const std::string& worker) {
    return workers.count(worker) != 0;
  };
  for (int i = 0; i < kLooks; ++i) {
    const Orphans found = FindByWorker(is_wanted);
    std::vector<pid_t> left;
    for (const auto& [worker, pids] : found.of_worker) {
      left.insert(left.end(), pids.begin(), pids.end());
    }
    if (left.empty() && !found.unclear) return;
    SignalTree({0, left}, SIGKILL, 0, [] { return true; });
    ::nanosleep(&kBetweenLooks, nullptr);
  }
}

// The whole life of the keeper.
[[noreturn]] void RunKeeper(int pipe, const std::string& instance,
                            const std::atomic<pid_t>* table,
                            const std::atomic<ProcessKey>* keys,
                            const std::string& cgroup_control) {
  // A session of its own: what is meant for the daemon's group is not for it.
  ::setsid();
  ResetSignals();
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGQUIT}) {
    ::signal(signal, SIG_IGN);
  }
  CloseDescriptorsFrom(0, {pipe});
  SetProcessName("forkserver-keep");
  char byte;
  for (;;) {
    const ssize_t size = ::read(pipe, &byte, 1);
    if (size == 0) break;
    if (size < 0 && errno != EINTR) break;
  }
  std::set<std::string> workers;
  for (std::size_t i = 0; i < Keeper::kSlots; ++i) {
    const pid_t group = table[i].load(std::memory_order_acquire);
    if (group <= 1) continue;
    ::kill(-group, SIGKILL);
    workers.insert(instance + "-" + std::to_string(keys[i].load()));
  }
  KillLeftBehind(workers);
  if (!cgroup_control.empty()) Cgroups::TakeLimits(cgroup_control);
  ::_exit(0);
}

}  // namespace

Result<Keeper> Keeper::Start(std::string instance, std::string cgroup_control) {
  Keeper keeper(std::move(instance));
  keeper.cgroup_control_ = std::move(cgroup_control);
  // Untouched pages cost nothing. A file, because memory without one ends when
  // another program is executed; without one where there can be none, as under
  // a limit of file sizes.
  keeper.file_ =
      MakeSharedFile("forkserver-workers", kTableBytes, /*reserve=*/false);
  if (auto mapped = keeper.MapTable(); !mapped) return mapped.error();
  if (auto forked = keeper.ForkKeeper(); !forked) return forked.error();
  return keeper;
}

Result<Keeper> Keeper::Resume(const protocol::HandedKeeper& handed,
                              std::string instance,
                              const std::set<std::int64_t>& taken) {
  Keeper keeper(std::move(instance));
  keeper.cgroup_control_ = handed.cgroup_control;
  struct stat info = {};
  if (::fstat(static_cast<int>(handed.table), &info) != 0 ||
      info.st_size < static_cast<off_t>(kTableBytes) ||
      handed.used > static_cast<std::int64_t>(kSlots)) {
    return MakeError(error_code::kMalformed,
                     "the keeper's table is not as this version has it");
  }
  keeper.file_ = TakeHanded(handed.table);
  keeper.used_ = static_cast<std::size_t>(handed.used);
  if (auto mapped = keeper.MapTable(); !mapped) {
    // It goes back, to one that needs it.
    static_cast<void>(keeper.file_.Release());
    return mapped.error();
  }
  keeper.pipe_ = TakeHanded(handed.pipe);
  keeper.pid_ = static_cast<pid_t>(handed.pid);
  for (std::int64_t number = 0; number < handed.used; ++number) {
    if (taken.count(number) == 0) keeper.GiveSlot(keeper.SlotOf(number));
  }
  return keeper;
}

protocol::HandedKeeper Keeper::WriteDown(HandedFds& fds) const {
  protocol::HandedKeeper handed;
  handed.table = fds.Add(file_);
  handed.pipe = fds.Add(pipe_);
  handed.pid = pid_;
  handed.used = static_cast<std::int64_t>(used_);
  handed.cgroup_control = cgroup_control_;
  return handed;
}

Result<void> Keeper::MapTable() {
  void* const memory =
      ::mmap(nullptr, kTableBytes, PROT_READ | PROT_WRITE,
             file_ ? MAP_SHARED : MAP_SHARED | MAP_ANONYMOUS, file_.get(), 0);
  if (memory == MAP_FAILED) return SystemError("mmap()", errno);
  keys_ = static_cast<std::atomic<ProcessKey>*>(memory);
  table_ = reinterpret_cast<std::atomic<pid_t>*>(keys_ + kSlots);
  return {};
}

Keeper::Keeper(Keeper&& other) noexcept
    : instance_(std::move(other.instance_)),
      file_(std::move(other.file_)),
      table_(std::exchange(other.table_, nullptr)),
      keys_(std::exchange(other.keys_, nullptr)),
      used_(other.used_),
      free_(std::move(other.free_)),
      pipe_(std::move(other.pipe_)),
      cgroup_control_(std::move(other.cgroup_control_)),
      pid_(std::exchange(other.pid_, 0)) {}

Keeper::~Keeper() {
  pipe_.Reset();
  if (pid_ > 0) {
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  if (keys_ != nullptr) ::munmap(keys_, kTableBytes);
}

Result<void> Keeper::Restart() {
  pid_ = 0;
  return ForkKeeper();
}

Result<void> Keeper::ForkKeeper() {
  Result<Pipe> pipe = MakePipe();
  if (!pipe) return pipe.error();
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  const int fork_errno = errno;
  if (pid == 0) {
    RunKeeper(pipe->read_end.get(), instance_, table_, keys_, cgroup_control_);
  }
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return SystemError("fork()", fork_errno);
  pipe_ = std::move(pipe->write_end);
  pid_ = pid;
  return {};
}

Result<std::atomic<pid_t>*> Keeper::TakeSlot(ProcessKey key) {
  if (!free_.empty()) {
    std::atomic<pid_t>* const slot = free_.back();
    free_.pop_back();
    keys_[slot - table_] = key;
    return slot;
  }
  if (used_ == kSlots) {
    return MakeError(error_code::kLimitReached,
                     "there are " + std::to_string(kSlots) +
                         " live workers, no more are possible",
                     "wait for some of them to end");
  }
  keys_[used_] = key;
  return &table_[used_++];
}

void Keeper::GiveSlot(std::atomic<pid_t>* slot) {
  slot->store(0, std::memory_order_release);
  free_.push_back(slot);
}

}  // namespace forkserver::server
