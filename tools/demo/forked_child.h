// The first half of the demo: what fork() does after a framework was used.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>

namespace forkserver::demo {

// How a plainly forked child that uses the framework ended.
struct ForkedChild {
  enum class End { kForkFailed, kHung, kFinished, kWrongAnswer, kSignal };
  End end = End::kForkFailed;
  pid_t pid = -1;
  int signal = 0;  // with kSignal
};

// Forks; the child calls DotProduct. Blocks until it has ended, or kills it
// after `patience`. It is reaped either way.
ForkedChild ForkAndCompute(std::chrono::milliseconds patience);

}  // namespace forkserver::demo
