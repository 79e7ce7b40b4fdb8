// A service as the daemon keeps it. Plain values but for what its run says.
#pragma once

#include <forkserver/types.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/protocol/messages.h"
#include "server/services/readiness.h"
#include "server/supervisor/supervisor_event.h"

namespace forkserver::server {

// What a service is made of, as somebody asked for it.
struct ServiceDefinition {
  std::string zygote;
  protocol::Setup setup;
  ServicePolicy policy;
  ResourceLimits limits;  // of the client that asked
};

// In what two definitions differ, for a message: "its command and its
// environment (PORT)"; empty if in nothing that matters.
std::string DescribeDifference(const ServiceDefinition& a,
                               const ServiceDefinition& b);

// What is added here goes over in an upgrade: see service_upgrade.cc.
struct Service {
  std::uint64_t number = 0;
  std::string name;
  std::string project;  // the file of the project that it belongs to, or empty
  ServiceDefinition definition;
  std::optional<ServiceDefinition> next_definition;  // once it is stopped

  ServiceState state = ServiceState::kStopped;
  std::int64_t since_ns = 0;
  std::int64_t runs = 0;
  std::int64_t restarts = 0;
  std::int64_t short_runs = 0;  // in a row
  std::string why;
  std::optional<ExitRecord> exit;
  std::optional<std::int64_t> stop_grace_ms;  // of the stop under way
  bool remove = false;                        // once it is stopped
  bool saved = false;                         // there is a file for it
  // Its next run was asked for by somebody.
  bool asked = false;
  // Services that it is after and that are stopped are to be started with it.
  bool start_others = false;

  // Its run. 0: it has none.
  ProcessKey run = 0;
  std::string worker;
  // Of one that an earlier run of the daemon launched: its id then.
  std::string first_worker;
  pid_t pid = 0;
  std::int64_t start_time = 0;  // of that pid, see ReadStartTime
  bool launched = false;
  // While it is being launched and its run outlives the daemon: see
  // Services::HoldLaunch.
  UniqueFd launch_lock;
  bool said_ready = false;  // before it was heard that it is launched
  std::int64_t run_begun_ns = 0;
  std::string failure;  // why it has failed, though it has not ended
  std::string status;   // what it says of itself
  Readiness readiness;
  std::uint64_t log = 0;      // the log writer's key for it; 0: none
  ProcessKey probe = 0;       // of ready "exec": the command that runs now
  std::string probe_failure;  // what the last one said

  // When something is to be done. 0: never.
  std::int64_t backoff_until_ns = 0;
  std::int64_t ready_until_ns = 0;
  std::int64_t probe_at_ns = 0;
  std::int64_t watchdog_until_ns = 0;
  std::int64_t NextNs() const;
};

}  // namespace forkserver::server
