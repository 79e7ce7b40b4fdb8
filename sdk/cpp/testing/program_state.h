// What a test program did to its process before it had tests to run, in static
// initialisers and warm-ups. A worker has the environment, folder, umask and
// descriptors of its request: the program's tests are to find the program's.
//
// One in a process; not thread-safe. Begins to look before the program's own
// static initialisers run (on macOS: before main), in a zygote only.
#pragma once

#include <vector>

namespace forkserver::program_state {

// In the zygote, when all is loaded. `opened`: the descriptors that are open
// and not the SDK's. Returns those that workers are to keep: files, devices,
// and pipes of which the program has both ends.
std::vector<int> Remember(const std::vector<int>& opened);

// In a worker: variables, folder and umask that the program changed are so
// again; files have an offset of their own, unless they are only written to;
// pipes are new ones. What else was open is not there: reading and writing it
// fails with EBADF, and its number is nobody else's.
void Restore();

}  // namespace forkserver::program_state
