// What libforkguard does around a fork: nothing if nothing speaks against it,
// else a watcher (warn), or the verdict at once (deny, abort).
#pragma once

#include <sys/types.h>

#include "sdk/guard/watcher.h"

namespace forkserver::guard {

// The first call reads the environment (fork_record.h). It may come before the
// constructors of this library.
bool IsOn();

struct ForkAttempt {
  Watch* watch = nullptr;
  bool refused = false;  // fail with EAGAIN
};

// `caller`: the return address of the function that forks.
// `may_not_return`: the parent ends in it, as in daemon().
ForkAttempt BeforeFork(const void* caller, bool may_not_return = false);
void AfterForkInParent(const ForkAttempt& attempt, pid_t child);
void AfterForkInChild(const ForkAttempt& attempt);

// This process is about to execute something.
void BeforeExec();

// A function that was given to pthread_atfork.
void NoteForkHandler(const void* function);

}  // namespace forkserver::guard
