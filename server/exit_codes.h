// How forkserverd itself ends.
#pragma once

namespace forkserver::server {

enum ExitCode {
  kExitOk = 0,             // stopped in order; without --foreground: it serves
  kExitAlreadyServed = 1,  // another one serves the socket
  kExitUsage = 2,          // unknown flag or bad value
  kExitStartFailed = 3,    // the system refused something that it needs
};

}  // namespace forkserver::server
