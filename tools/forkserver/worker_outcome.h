// The exit code of a command that runs or waits for a worker.
#pragma once

#include <forkserver/error.h>
#include <forkserver/types.h>

namespace forkserver::cli {

// The worker's code, 128 + signal, kWorkerTimeout, or kFailed for a status
// that nobody could observe. Says on standard error why the worker ended when
// that is neither its own doing nor asked for by name.
int ReportEnd(const ExitRecord& record);

// Prints the error: kNotFound, kNotExecutable or kFailed.
int ReportLaunchFailure(const Error& error);

}  // namespace forkserver::cli
