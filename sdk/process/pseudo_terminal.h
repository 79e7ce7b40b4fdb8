// A terminal for a worker: what it writes can be read, what is written it
// reads as if typed.
//
//   Result<PseudoTerminal> made = PseudoTerminal::Make({24, 80});
//   ... launch a worker with made->worker_side as 0, 1 and 2, and the group
//       GroupKind::kTerminal ...
//   made->worker_side.Reset();  // or nobody is told of its end
//   ... read and write made->our_side, which is at its end (EIO) when no
//       process has the other side open ...
//
// When our side is closed the processes of that session get SIGHUP.
#pragma once

#include <forkserver/result.h>
#include <sys/ioctl.h>

#include "sdk/base/unique_fd.h"

namespace forkserver {

struct PseudoTerminal {
  UniqueFd our_side;     // "manager", blocking, close-on-exec
  UniqueFd worker_side;  // "subsidiary", close-on-exec

  // Does not become the terminal of this process. Does not block.
  static Result<PseudoTerminal> Make(const winsize& size);
};

}  // namespace forkserver
