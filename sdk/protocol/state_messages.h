// What the daemon leaves in files for the next one. Not a part of the protocol
// that clients speak. Still, it crosses versions: keys are added, not changed.
// Held by tests/unit/protocol/kept_states_test.cc.
#pragma once

#include <forkserver/service_types.h>
#include <forkserver/types.h>

#include <cstdint>
#include <string>

#include "sdk/protocol/service_messages.h"

namespace forkserver::protocol {

// A service whose runs outlive the daemon.
struct SavedService {
  static constexpr char kType[] = "saved_service";
  std::string boot;  // of the system; what was before another one is gone
  std::string name;
  std::string project;
  std::string zygote;
  Bytes setup;
  ServicePolicy policy;
  ResourceLimits limits;
  ServiceState state = ServiceState::kStopped;
  std::int64_t runs = 0;
  std::int64_t restarts = 0;
  std::int64_t short_runs = 0;
  // Its run. Empty: it has none. Without a pid it is being launched.
  std::string worker;
  std::int64_t pid = 0;
  std::int64_t start_time = 0;
  std::int64_t begun_ns = 0;  // monotonic

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("boot", self.boot);
    visit.Required("name", self.name);
    visit.Optional("project", self.project);
    visit.Optional("zygote", self.zygote);
    visit.Required("setup", self.setup);
    visit.Required("policy", self.policy);
    visit.Optional("limits", self.limits);
    visit.Required("state", self.state);
    visit.Optional("runs", self.runs);
    visit.Optional("restarts", self.restarts);
    visit.Optional("short_runs", self.short_runs);
    visit.Optional("worker", self.worker);
    visit.Optional("pid", self.pid);
    visit.Optional("start_time", self.start_time);
    visit.Optional("begun_ns", self.begun_ns);
  }
};

}  // namespace forkserver::protocol
