// The first part of a zygote's conversation: hello, Configure, the preload
// steps, ready.
#pragma once

#include <forkserver/error.h>

#include <optional>
#include <string>

#include "sdk/cpp/zygote_registry.h"
#include "sdk/protocol/framing.h"
#include "sdk/protocol/messages.h"

namespace forkserver {

// The threads of this process. When there are several, waits up to 10 ms for
// them to go: one that was joined stays in /proc for a moment. -1: unknown.
int CountSettledThreads();

// "zygote_unsafe", naming the threads besides the first. `seen` says when they
// were first there: "after preload torch".
Error DescribeUnsafeThreads(int threads, const std::string& seen);

// Calls a step; an exception that leaves it is an error too.
Result<void> RunPreloadStep(const std::string& name, const PreloadStep& step);

struct StartUp {
  // Absent: this process is to leave with `exit_code`. The daemon has been
  // told why, unless it is gone.
  std::optional<protocol::Configure> configure;
  int exit_code = 0;
};

// Blocks until the daemon has answered and the steps are done. `reader` keeps
// what arrived after Configure.
StartUp StartZygote(int control_fd, protocol::FrameReader& reader,
                    const ZygoteRegistry& registry);

// Tells the daemon that this process cannot become a zygote.
void SendZygoteFailed(int control_fd, const Error& error);

}  // namespace forkserver
