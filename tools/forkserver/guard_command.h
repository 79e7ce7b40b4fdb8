// `forkserver guard`, which runs a program with libforkguard in it, and the
// same for `forkserver doctor -- CMD`.
#pragma once

#include "tools/forkserver/options.h"

namespace forkserver::cli {

// Becomes the program; returns if that cannot be done.
int RunGuarded(const Options& options);

// Runs it, waits for its end and tells of its forks. kOk, kUnsafe, kUnknown.
int RunDoctorOnCommand(const Options& options);

// What libforkguard runs for a report: reads a record from standard input.
int ReportFork(const Options& options);

}  // namespace forkserver::cli
