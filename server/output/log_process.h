// The log writer's process: reads the streams of all services, writes their
// log files, looks for the lines that say that a service is ready.
//
// Reading has one thread, which never writes to a disk; each file has one
// more (log_sink.h). So a file that cannot be written holds up its own service
// only, or none at all if that has `drop`. Each stream is read in turn, a
// bounded piece at a time.
//
// Without `drop`, what a service wrote is read only when all of its lines
// before are in the file: what is not written yet is in the pipe, where it
// outlives this process.
//
// Caveats: a line appears when it ends; a prompt does not. The order of
// standard output and standard error is that of reading, which is theirs only
// if the service pauses in between. Two services with one file wait for each
// other.
#pragma once

#include "sdk/base/unique_fd.h"
#include "server/output/log_sink.h"

namespace forkserver::server {

// The whole life of the process; call it in a new child. It closes all other
// descriptors, and ends when the channel is closed and the last stream is at
// its end.
[[noreturn]] void RunLogProcess(UniqueFd channel, WallClock clock);

}  // namespace forkserver::server
