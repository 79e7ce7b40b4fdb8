// ForkGuardedFd: a descriptor that is closed in every forked child of this
// process, so that a child can neither speak on its parent's connection nor
// keep it open.
//
// Works for fork(2) through libc only: a raw clone(2) skips the handlers. A
// child made by posix_spawn or exec is served by close-on-exec.
#pragma once

#include "sdk/base/unique_fd.h"

namespace forkserver {

// May be made and destroyed by any thread; the rest is not thread-safe. Stays
// where it is: a registry points to it.
class ForkGuardedFd {
 public:
  explicit ForkGuardedFd(UniqueFd fd);
  ~ForkGuardedFd();
  ForkGuardedFd(const ForkGuardedFd&) = delete;
  ForkGuardedFd& operator=(const ForkGuardedFd&) = delete;

  // -1 in a forked child.
  int get() const { return fd_; }

 private:
  static void LockBeforeFork();
  static void UnlockInParent();
  static void CloseInChild();

  int fd_;
  ForkGuardedFd* previous_ = nullptr;
  ForkGuardedFd* next_ = nullptr;
};

}  // namespace forkserver
