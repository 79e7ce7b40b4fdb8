// Carries out a plan with a daemon. Blocks until everything is as it is to be,
// or has failed; a service that fails keeps only those from starting that are
// after it.
#pragma once

#include <forkserver/client.h>
#include <forkserver/result.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tools/project/plan.h"
#include "tools/project/project.h"

namespace forkserver::project {

// What became of a step, or what it would do.
struct Outcome {
  std::string kind;
  std::string name;
  std::string action;
  std::string why;
  std::optional<std::string> state;  // absent: it is not known any more
  std::optional<std::string> error;  // why it is not as it is to be

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("kind", self.kind);
    visit.Required("name", self.name);
    visit.Required("action", self.action);
    visit.Required("why", self.why);
    visit.Required("state", self.state);
    visit.Required("error", self.error);
  }
};
// Before anything is done.
Outcome OutcomeOf(const Step& step, const Known& known);

// What the daemon has. Changes nothing.
Result<Known> ReadKnown(Client& client, const Project& project);

struct CarryOutOptions {
  std::optional<std::chrono::milliseconds> grace;  // of what is stopped
  bool no_wait = false;                            // until services are ready
  // Called once for each step, as soon as it is over.
  std::function<void(const Outcome&)> on_outcome;
};

// The result is an error only if the daemon is lost.
Result<std::vector<Outcome>> CarryOut(Client& client, const Project& project,
                                      const Known& known,
                                      const std::vector<Step>& steps,
                                      const CarryOutOptions& options);

}  // namespace forkserver::project
