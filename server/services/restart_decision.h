// Whether a service runs again after a run of it has ended, and when. Pure.
#pragma once

#include <forkserver/service_types.h>
#include <forkserver/types.h>

#include <cstdint>
#include <string>

#include "server/services/service_state.h"

namespace forkserver::server {

// What is known of a run that has ended.
struct EndedRun {
  std::int64_t lasted_ms = 0;
  // Runs in a row that were short, this one included.
  std::int64_t short_runs = 0;
  // It could not be launched, or failed before it ended (why), or neither.
  std::string failure;
  // How its process ended; null if there was none.
  const ExitRecord* record = nullptr;
};

struct RestartDecision {
  ServiceEvent event = ServiceEvent::kEndedBadly;  // one of kEnded...
  std::string why;  // what went wrong, and what follows; empty if nothing did
};

bool IsShort(const ServicePolicy& policy, std::int64_t lasted_ms);
RestartDecision DecideRestart(const ServicePolicy& policy, const EndedRun& run);

// How long until the next run, after so many short ones in a row. `random` is
// any number: it decides about the jitter.
std::int64_t BackoffMs(const ServicePolicy& policy, std::int64_t short_runs,
                       std::uint32_t random);

// "exit code 3", "signal 9 (core dumped)", "timeout".
std::string DescribeEnd(const ExitRecord& record);

}  // namespace forkserver::server
