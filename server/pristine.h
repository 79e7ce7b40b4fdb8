// The steps by which a process that anybody started, from whatever parent,
// becomes one that is fit to be everybody's parent.
#pragma once

#include <forkserver/result.h>

#include "sdk/base/unique_fd.h"

namespace forkserver::server {

// Closes every inherited descriptor above 2 but `keep` (-1: none), opens
// /dev/null for missing streams, stops timers, forgets pending signals, resets
// signals, umask, and working directory.
void BecomePristine(int keep);

// Of the daemon, which reads what failed instead: SIGPIPE and SIGXFSZ.
void IgnoreSignals();

// For itself, not for workers: as much as the hard limits allow of what a
// daemon can run out of, and orphaned descendants as children. Call in the
// process that will serve.
void RaiseOwnLimits();

// SIGTERM, SIGINT and SIGHUP wait until there are handlers for them: a daemon
// whose socket can be seen must stop in order.
void HoldStopSignals();
void ReleaseStopSignals();

// Splits into a parent, which waits, and a child with a session of its own,
// in which the call returns a descriptor for ReportReady. The parent exits: 0
// when the child reported, else with the child's exit code.
Result<UniqueFd> GoToBackground();
// Lets the waiting parent go, and turns the streams to /dev/null.
void ReportReady(UniqueFd waiting_parent);

}  // namespace forkserver::server
