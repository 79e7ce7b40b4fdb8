// What the supervisor has to tell the control layer. Plain values.
#pragma once

#include <forkserver/error.h>
#include <forkserver/types.h>

#include <cstdint>
#include <string>
#include <variant>

#include "server/launch/launch_event.h"

namespace forkserver::server {

// A client's connection, as the supervisor knows it. 0: nobody.
using OwnerId = std::uint64_t;
// The owner of the workers of services, which belong to no connection. Such a
// worker has ended when everything that descends from it has.
inline constexpr OwnerId kServicesOwner = ~OwnerId{0};

struct WorkerLaunched {
  ProcessKey key = 0;
  WorkerInfo worker;
};
// Answers its request; there is no exit record for it.
struct WorkerLaunchFailed {
  ProcessKey key = 0;
  Error error;
};
struct WorkerEnded {
  ProcessKey key = 0;
  WorkerInfo worker;  // with its exit record
};
// `event` as in types.h: "zygote_starting" and so on.
struct ZygoteChanged {
  ProcessKey key = 0;
  std::string event;
  ZygoteInfo zygote;
};
// It ended before it was ready; answers those who wait for it.
struct ZygoteStartFailed {
  ProcessKey key = 0;
  Error error;
};

// ProgramTried is handed on: it is the daemon's.
using SupervisorEvent =
    std::variant<WorkerLaunched, WorkerLaunchFailed, WorkerEnded, ZygoteChanged,
                 ZygoteStartFailed, ProgramTried>;

}  // namespace forkserver::server
