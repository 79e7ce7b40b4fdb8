#include "sdk/cpp/fork_guard.h"

#include <pthread.h>
#include <unistd.h>

#include <mutex>

namespace forkserver {
namespace {

// Never destroyed: a fork handler cannot be unregistered, and may run after
// the destructors of static objects.
struct Registry {
  std::mutex mutex;
  ForkGuardedFd* first = nullptr;
};
Registry& GetRegistry() {
  static Registry* const registry = new Registry;
  return *registry;
}

}  // namespace

// The list is consistent in the child only if no other thread was changing it
// at the fork.
void ForkGuardedFd::LockBeforeFork() { GetRegistry().mutex.lock(); }
void ForkGuardedFd::UnlockInParent() { GetRegistry().mutex.unlock(); }

void ForkGuardedFd::CloseInChild() {
  Registry& registry = GetRegistry();
  for (ForkGuardedFd* each = registry.first; each != nullptr;
       each = each->next_) {
    ::close(each->fd_);
    // The number may be reused: the destructor must not close it again.
    each->fd_ = -1;
  }
  registry.mutex.unlock();
}

ForkGuardedFd::ForkGuardedFd(UniqueFd fd) : fd_(fd.Release()) {
  static std::once_flag once;
  std::call_once(once, [] {
    // Without memory for it the check of the pid remains.
    (void)::pthread_atfork(LockBeforeFork, UnlockInParent, CloseInChild);
  });
  Registry& registry = GetRegistry();
  const std::lock_guard<std::mutex> lock(registry.mutex);
  next_ = registry.first;
  if (next_ != nullptr) next_->previous_ = this;
  registry.first = this;
}

ForkGuardedFd::~ForkGuardedFd() {
  Registry& registry = GetRegistry();
  const std::lock_guard<std::mutex> lock(registry.mutex);
  if (previous_ != nullptr) {
    previous_->next_ = next_;
  } else {
    registry.first = next_;
  }
  if (next_ != nullptr) next_->previous_ = previous_;
  // Under the lock: a fork in between would close a number that is free.
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace forkserver
