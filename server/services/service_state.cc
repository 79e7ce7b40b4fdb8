#include "server/services/service_state.h"

namespace forkserver::server {
namespace {

struct Row {
  ServiceState state;
  ServiceEvent event;
  ServiceState next;
  ServiceAction action = ServiceAction::kNone;
};

using enum ServiceState;
using enum ServiceEvent;
using enum ServiceAction;

// What is not here means nothing.
constexpr Row kRows[] = {
    {kStopped, kStart, kWaiting, kCheckDependencies},
    {kStopped, kRestart, kWaiting, kCheckDependencies},

    {kWaiting, kStop, kStopped},
    {kWaiting, kDependenciesMet, kStarting, kLaunch},
    {kWaiting, kDependencyFailed, kFailed},

    {kStarting, kStop, kStopping, kStopTree},
    {kStarting, kRestart, kRestarting, kStopTree},
    {kStarting, kReady, kRunning},
    {kStarting, kUnready, kFailing, kStopTree},
    {kStarting, kEndedToRestart, kBackoff, kBackOff},
    {kStarting, kEndedWell, kFinished},
    {kStarting, kEndedBadly, kFailed},

    {kRunning, kStop, kStopping, kStopTree},
    {kRunning, kRestart, kRestarting, kStopTree},
    {kRunning, kUnready, kFailing, kStopTree},
    {kRunning, kEndedToRestart, kBackoff, kBackOff},
    {kRunning, kEndedWell, kFinished},
    {kRunning, kEndedBadly, kFailed},

    // A second stop means now; a start means again once it is gone.
    {kStopping, kStop, kStopping, kKillTree},
    {kStopping, kStart, kRestarting},
    {kStopping, kRestart, kRestarting},
    {kStopping, kEndedToRestart, kStopped},
    {kStopping, kEndedWell, kStopped},
    {kStopping, kEndedBadly, kStopped},

    {kRestarting, kStop, kStopping},
    {kRestarting, kEndedToRestart, kWaiting, kCheckDependencies},
    {kRestarting, kEndedWell, kWaiting, kCheckDependencies},
    {kRestarting, kEndedBadly, kWaiting, kCheckDependencies},

    {kFailing, kStop, kStopping},
    {kFailing, kStart, kRestarting},
    {kFailing, kRestart, kRestarting},
    {kFailing, kEndedToRestart, kBackoff, kBackOff},
    {kFailing, kEndedWell, kFailed},
    {kFailing, kEndedBadly, kFailed},

    {kBackoff, kStop, kStopped},
    {kBackoff, kStart, kWaiting, kCheckDependencies},
    {kBackoff, kRestart, kWaiting, kCheckDependencies},
    {kBackoff, kBackoffOver, kWaiting, kCheckDependencies},

    {kFinished, kStop, kStopped},
    {kFinished, kStart, kWaiting, kCheckDependencies},
    {kFinished, kRestart, kWaiting, kCheckDependencies},

    {kFailed, kStop, kStopped},
    {kFailed, kStart, kWaiting, kCheckDependencies},
    {kFailed, kRestart, kWaiting, kCheckDependencies},
};

}  // namespace

ServiceStep Next(ServiceState state, ServiceEvent event) {
  for (const Row& row : kRows) {
    if (row.state == state && row.event == event) return {row.next, row.action};
  }
  return {state};
}

std::string_view NameOf(ServiceEvent event) {
  switch (event) {
    case kStart:
      return "start";
    case kStop:
      return "stop";
    case kRestart:
      return "restart";
    case kDependenciesMet:
      return "dependencies met";
    case kDependencyFailed:
      return "dependency failed";
    case kReady:
      return "ready";
    case kUnready:
      return "unready";
    case kEndedToRestart:
      return "ended, to restart";
    case kEndedWell:
      return "ended well";
    case kEndedBadly:
      return "ended badly";
    case kBackoffOver:
      return "backoff over";
  }
  return "";
}

std::string_view NameOf(ServiceAction action) {
  switch (action) {
    case kNone:
      return "";
    case kCheckDependencies:
      return "check dependencies";
    case kLaunch:
      return "launch";
    case kStopTree:
      return "stop";
    case kKillTree:
      return "kill";
    case kBackOff:
      return "back off";
  }
  return "";
}

}  // namespace forkserver::server
