// `status`, `events`, `daemon start`, `daemon stop`, `daemon upgrade`,
// `daemon status`, `socket-path`. Each function is a whole command and returns
// its exit code.
#pragma once

#include "tools/forkserver/options.h"

namespace forkserver::cli {

int PrintStatus(const Options& options);
int PrintEvents(const Options& options);
int StartDaemonProcess(const Options& options);
int StopDaemonProcess(const Options& options);
int UpgradeDaemonProcess(const Options& options);
int PrintDaemonState(const Options& options);
int PrintSocketPath(const Options& options);

}  // namespace forkserver::cli
