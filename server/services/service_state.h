// The life of a service as one table: what each event leads to in each state.
// Pure; docs/services.md shows the table, and a test holds the two together.
#pragma once

#include <forkserver/service_types.h>

#include <string_view>

namespace forkserver::server {

enum class ServiceEvent {
  kStart,             // somebody asks for it
  kStop,              // somebody asks for it
  kRestart,           // somebody asks for it
  kDependenciesMet,   // the services that it is after are ready
  kDependencyFailed,  // one of them has failed or was stopped
  kReady,             // its run is ready
  kUnready,           // its run was not ready in time, or fell silent
  kEndedToRestart,    // nothing of its run is left; another one is to follow
  kEndedWell,         // ... none is to follow, and it was a success
  kEndedBadly,        // ... none is to follow, and it was none
  kBackoffOver,
};
inline constexpr int kServiceEvents = 11;
inline constexpr int kServiceStates = 10;

enum class ServiceAction {
  kNone,
  kCheckDependencies,
  kLaunch,
  kStopTree,  // the stop signal, and KILL after the grace period
  kKillTree,  // KILL at once
  kBackOff,   // wake up when the next run is due
};

std::string_view NameOf(ServiceEvent event);
std::string_view NameOf(ServiceAction action);

struct ServiceStep {
  ServiceState next;
  ServiceAction action = ServiceAction::kNone;
};
// What an event that means nothing in a state leads to: that state, and
// nothing to do.
ServiceStep Next(ServiceState state, ServiceEvent event);

}  // namespace forkserver::server
