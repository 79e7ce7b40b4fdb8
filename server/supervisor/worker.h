// A worker as the supervisor knows it, and what others are told of it. Plain
// values.
#pragma once

#include <forkserver/types.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "server/launch/launch_event.h"
#include "server/supervisor/supervisor_event.h"

namespace forkserver::server {

// What is added here goes over in an upgrade: see supervisor_upgrade.cc.
struct Worker {
  ProcessKey key = 0;
  std::string id;
  std::string name;
  WorkerKind kind = WorkerKind::kExec;
  WorkerState state = WorkerState::kLaunching;
  pid_t pid = 0;
  // Of one that an earlier run of the daemon launched: the id that it has in
  // its environment. Otherwise empty.
  std::string first_id;
  OwnerId owner = 0;
  ProcessKey zygote = 0;
  std::string zygote_name;
  bool detach = false;
  std::int64_t timeout_ms = 0;
  std::int64_t grace_ms = 0;
  int stop_signal = 0;
  std::int64_t grace_until_ns = 0;  // while stopping
  std::optional<EndReason> reason;  // set by whoever stops it first
  std::vector<std::string> stacks;  // of one that did not reach its entry
  Journey journey;
  // Of its zygote when it was forked; the daemon itself always is.
  bool pristine = true;
  std::vector<std::string> dirty;
  bool crash_report = false;  // more than usual was asked for
  bool cgroup = false;        // it has one of its own
  // How it ended, while something that descends from it is still there.
  std::optional<ProcessEnded> ended;
};

// Without its exit record.
WorkerInfo DescribeWorker(const Worker& worker);
ExitRecord MakeRecord(const Worker& worker, const ProcessEnded& end);

}  // namespace forkserver::server
