// The table of a service's life, row by row: docs/services.md shows the same.
#include "server/services/service_state.h"

#include <doctest/doctest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace forkserver::server {
namespace {

using enum ServiceEvent;
using enum ServiceState;

constexpr ServiceState kStates[] = {kStopped,  kWaiting,    kStarting, kRunning,
                                    kStopping, kRestarting, kFailing,  kBackoff,
                                    kFinished, kFailed};
constexpr ServiceEvent kEvents[] = {
    kStart,      kStop,    kRestart,        kDependenciesMet, kDependencyFailed,
    kReady,      kUnready, kEndedToRestart, kEndedWell,       kEndedBadly,
    kBackoffOver};
static_assert(std::size(kStates) == kServiceStates);
static_assert(std::size(kEvents) == kServiceEvents);

// One line for each pair that means something.
std::vector<std::string> Table() {
  std::vector<std::string> lines;
  for (const ServiceState state : kStates) {
    for (const ServiceEvent event : kEvents) {
      const ServiceStep step = Next(state, event);
      if (step.next == state && step.action == ServiceAction::kNone) continue;
      lines.push_back("| " + std::string(NameOf(state)) + " | " +
                      std::string(NameOf(event)) + " | " +
                      std::string(NameOf(step.next)) + " | " +
                      std::string(NameOf(step.action)) + " |");
    }
  }
  return lines;
}

TEST_CASE("the page shows the table as it is") {
  std::ifstream page("docs/services.md");
  REQUIRE(page);
  std::vector<std::string> shown;
  bool inside = false;
  for (std::string line; std::getline(page, line);) {
    if (line.rfind("| in state | on |", 0) == 0) {
      inside = true;
      std::getline(page, line);  // |---|
    } else if (inside && line.empty()) {
      break;
    } else if (inside) {
      shown.push_back(line);
    }
  }
  const std::vector<std::string> table = Table();
  std::string text;
  for (const std::string& line : table) text += line + "\n";
  CHECK_MESSAGE(shown == table, "it must be:\n" << text);
}

TEST_CASE("nothing is launched but from starting, after the dependencies") {
  for (const ServiceState state : kStates) {
    for (const ServiceEvent event : kEvents) {
      const ServiceStep step = Next(state, event);
      CAPTURE(NameOf(state));
      CAPTURE(NameOf(event));
      CHECK((step.action == ServiceAction::kLaunch) ==
            (state == kWaiting && event == kDependenciesMet));
    }
  }
}

bool HasProcesses(ServiceState state) {
  return state == kStarting || state == kRunning || state == kStopping ||
         state == kRestarting || state == kFailing;
}

TEST_CASE("a state with processes is left only when nothing of them is left") {
  for (const ServiceState state : kStates) {
    for (const ServiceEvent event : kEvents) {
      const bool gone = event == kEndedToRestart || event == kEndedWell ||
                        event == kEndedBadly;
      const ServiceState next = Next(state, event).next;
      CAPTURE(NameOf(state));
      CAPTURE(NameOf(event));
      if (HasProcesses(state)) {
        CHECK(HasProcesses(next) == !gone);
      } else if (gone) {
        CHECK(next == state);
      }
    }
  }
}

TEST_CASE("a stop leads to stopped from everywhere, and nowhere else") {
  for (const ServiceState state : kStates) {
    CAPTURE(NameOf(state));
    ServiceState now = Next(state, kStop).next;
    if (HasProcesses(state)) {
      CHECK(now == kStopping);
      for (const ServiceEvent event :
           {kReady, kUnready, kDependenciesMet, kBackoffOver}) {
        CHECK(Next(now, event).next == kStopping);
      }
      for (const ServiceEvent end :
           {kEndedToRestart, kEndedWell, kEndedBadly}) {
        CHECK(Next(now, end).next == kStopped);
      }
    } else {
      CHECK(now == kStopped);
    }
  }
}

TEST_CASE("a start is never lost") {
  for (const ServiceState state : kStates) {
    CAPTURE(NameOf(state));
    ServiceState now = Next(state, kStart).next;
    if (now == kRestarting) now = Next(now, kEndedBadly).next;
    CHECK((now == kWaiting || now == kStarting || now == kRunning));
  }
}

}  // namespace
}  // namespace forkserver::server
