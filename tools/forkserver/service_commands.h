// The commands about services: start, restart, remove, services, and the part
// of stop and status that is about them. Each returns the exit code.
#pragma once

#include "tools/forkserver/options.h"

namespace forkserver::cli {

int StartService(const Options& options);
int RestartService(const Options& options);
int RemoveService(const Options& options);
int ListServices(const Options& options);

// `stop ID`: a service of that name, or else the worker of that id.
int StopServiceOrWorker(const Options& options);
// `status [NAME]`: of the service, or else of the daemon.
int PrintServiceOrStatus(const Options& options);

}  // namespace forkserver::cli
