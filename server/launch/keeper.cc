#include "server/launch/keeper.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <utility>

#include "sdk/base/unix_socket.h"
#include "sdk/process/platform.h"
#include "server/launch/cgroups.h"

namespace forkserver::server {
namespace {

constexpr std::size_t kTableBytes = Keeper::kSlots * sizeof(pid_t);
static_assert(sizeof(std::atomic<pid_t>) == sizeof(pid_t));

// The whole life of the keeper.
[[noreturn]] void RunKeeper(int pipe, const std::atomic<pid_t>* table,
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
  for (std::size_t i = 0; i < Keeper::kSlots; ++i) {
    const pid_t group = table[i].load(std::memory_order_acquire);
    if (group > 1) ::kill(-group, SIGKILL);
  }
  if (!cgroup_control.empty()) Cgroups::TakeLimits(cgroup_control);
  ::_exit(0);
}

}  // namespace

Result<Keeper> Keeper::Start(std::string cgroup_control) {
  Keeper keeper;
  keeper.cgroup_control_ = std::move(cgroup_control);
  // Untouched pages cost nothing.
  void* const memory = ::mmap(nullptr, kTableBytes, PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return SystemError("mmap()", errno);
  keeper.table_ = static_cast<std::atomic<pid_t>*>(memory);
  if (auto forked = keeper.ForkKeeper(); !forked) return forked.error();
  return keeper;
}

Keeper::Keeper(Keeper&& other) noexcept
    : table_(std::exchange(other.table_, nullptr)),
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
  if (table_ != nullptr) ::munmap(table_, kTableBytes);
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
  if (pid == 0) RunKeeper(pipe->read_end.get(), table_, cgroup_control_);
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return SystemError("fork()", fork_errno);
  pipe_ = std::move(pipe->write_end);
  pid_ = pid;
  return {};
}

Result<std::atomic<pid_t>*> Keeper::TakeSlot() {
  if (!free_.empty()) {
    std::atomic<pid_t>* const slot = free_.back();
    free_.pop_back();
    return slot;
  }
  if (used_ == kSlots) {
    return MakeError(error_code::kLimitReached,
                     "there are " + std::to_string(kSlots) +
                         " live workers, no more are possible",
                     "wait for some of them to end");
  }
  return &table_[used_++];
}

void Keeper::GiveSlot(std::atomic<pid_t>* slot) {
  slot->store(0, std::memory_order_release);
  free_.push_back(slot);
}

}  // namespace forkserver::server
