// The first part of a zygote's conversation: hello, Configure, the preload
// steps, ready.
#pragma once

#include <forkserver/error.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sdk/cpp/self_audit.h"
#include "sdk/cpp/zygote_registry.h"
#include "sdk/protocol/framing.h"
#include "sdk/protocol/messages.h"

namespace forkserver {

// Calls a step; an exception that leaves it is an error too.
Result<void> RunPreloadStep(const std::string& name, const PreloadStep& step);

struct StartUp {
  // Absent: this process is to leave with `exit_code`. The daemon has been
  // told why, unless it is gone.
  std::optional<protocol::Configure> configure;
  std::unique_ptr<SelfAudit> self;  // with `configure`
  std::vector<int> kept_fds;        // that workers keep; ascending
  int exit_code = 0;
};

// Blocks until the daemon has answered and the steps are done. `reader` keeps
// what arrived after Configure.
// `own_fds`: asked for what belongs to the SDK, before the steps.
StartUp StartZygote(
    int control_fd,
    const std::function<std::vector<int>(const protocol::Configure&)>& own_fds,
    protocol::FrameReader& reader, const ZygoteRegistry& registry);

// Tells the daemon that this process cannot become a zygote.
void SendZygoteFailed(int control_fd, const Error& error);

}  // namespace forkserver
