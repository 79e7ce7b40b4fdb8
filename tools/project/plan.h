// What is to be done so that a daemon runs what a project file says. Pure
// functions over what the file says and what the daemon has.
#pragma once

#include <forkserver/types.h>

#include <map>
#include <string>
#include <vector>

#include "tools/project/project.h"

namespace forkserver::project {

//   keep      it is as it should be
//   start     it is made, or started again
//   replace   it is stopped, and made anew
//   restart   it is stopped and started, though it has not changed itself
//   remove    it is stopped and forgotten
//   conflict  it cannot be as the file says; `why` says why not
enum class Action { kKeep, kStart, kReplace, kRestart, kRemove, kConflict };
std::string_view NameOf(Action action);

// A zygote or a service.
enum class Kind { kZygote, kService };
std::string_view NameOf(Kind kind);

struct Step {
  Kind kind = Kind::kService;
  std::string name;
  Action action = Action::kKeep;
  std::string why;  // for a person: "its command and its umask changed"
};

// What a daemon has, and in what it differs from the file, by name; those that
// are not known, or belong to somebody else, are not there.
struct Known {
  std::vector<ZygoteInfo> zygotes;
  std::vector<ServiceInfo> services;
  std::map<std::string, std::string> zygote_differences;
  std::map<std::string, std::string> service_differences;
};

// Each has the steps in the order in which they are to be taken: what is
// removed, then zygotes, then services, each after those that it needs.

// Starts what does not run; changes nothing that does. `names` are services,
// which bring with them what they need; none means all.
std::vector<Step> PlanUp(const Project& project, const Known& known,
                         const std::vector<std::string>& names);
// Makes everything as the file says, and touches nothing else.
std::vector<Step> PlanReload(const Project& project, const Known& known);
// Stops and removes everything that belongs to the project of this file, or
// `names` and what needs them. Zygotes only with everything.
std::vector<Step> PlanDown(const std::string& file, const Known& known,
                           const std::vector<std::string>& names);
// Stops and starts every service of the file.
std::vector<Step> PlanRestart(const Project& project, const Known& known);

}  // namespace forkserver::project
