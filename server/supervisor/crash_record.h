// From what a worker left that crashed to what its exit record says. Passive.
#pragma once

#include <forkserver/types.h>

#include "server/launch/launch_event.h"

namespace forkserver::server {

// A worker can have written anything: what is not understood is left out, and
// what would not fit into a record is cut.
CrashReport MakeCrashReport(const EndStatus& status);

}  // namespace forkserver::server
