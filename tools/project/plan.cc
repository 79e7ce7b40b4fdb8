#include "tools/project/plan.h"

#include <algorithm>
#include <cstdlib>
#include <set>
#include <utility>

#include "tools/project/order.h"

namespace forkserver::project {
namespace {

template <typename Info>
const Info* Find(const std::vector<Info>& infos, const std::string& name) {
  const auto found =
      std::find_if(infos.begin(), infos.end(),
                   [&](const Info& info) { return info.name == name; });
  return found == infos.end() ? nullptr : &*found;
}

// One that retires answers to no name any more.
const ZygoteInfo* FindZygote(const Known& known, const std::string& name) {
  for (const ZygoteInfo& zygote : known.zygotes) {
    if (zygote.name == name && zygote.state != ZygoteState::kRetiring) {
      return &zygote;
    }
  }
  return nullptr;
}

std::string DifferenceIn(const std::map<std::string, std::string>& differences,
                         const std::string& name) {
  const auto found = differences.find(name);
  return found == differences.end() ? std::string() : found->second;
}

std::string OwnedBy(const std::string& project) {
  return project.empty() ? "one of this name runs already, and belongs to no "
                           "project"
                         : "one of this name belongs to " + project;
}

// A run of it is there, with what it was made of.
bool IsUp(ServiceState state) {
  return state == ServiceState::kStarting || state == ServiceState::kRunning ||
         state == ServiceState::kStopping ||
         state == ServiceState::kRestarting || state == ServiceState::kFailing;
}

bool IsAsWanted(ServiceState state) {
  return state == ServiceState::kRunning || state == ServiceState::kFinished;
}

std::vector<Needing> NeedsOf(const std::vector<ServiceEntry>& services) {
  std::vector<Needing> things;
  things.reserve(services.size());
  for (const ServiceEntry& service : services) {
    things.push_back({service.options.name, service.options.policy.after});
  }
  return things;
}

// Those who need others first.
template <typename Info, typename Needs>
void AddRemovals(Kind kind, const std::vector<const Info*>& gone, Needs needs,
                 const std::string& why, std::vector<Step>& steps) {
  std::vector<Needing> things;
  things.reserve(gone.size());
  for (const Info* const info : gone) {
    things.push_back({info->name, needs(*info)});
  }
  std::vector<std::size_t> order = SortByNeed(things).order;
  std::reverse(order.begin(), order.end());
  for (const std::size_t i : order) {
    steps.push_back({kind, gone[i]->name, Action::kRemove, why});
  }
}

void AddServiceRemovals(const std::vector<const ServiceInfo*>& gone,
                        const std::string& why, std::vector<Step>& steps) {
  AddRemovals(
      Kind::kService, gone,
      [](const ServiceInfo& info) { return info.policy.after; }, why, steps);
}

void AddZygoteRemovals(const std::vector<const ZygoteInfo*>& gone,
                       const std::string& why, std::vector<Step>& steps) {
  AddRemovals(
      Kind::kZygote, gone,
      [](const ZygoteInfo& info) {
        return std::vector<std::string>{info.parent};
      },
      why, steps);
}

Step StepForZygote(const ZygoteEntry& entry, const Known& known, bool replace,
                   const std::set<std::string>& replaced) {
  const ZygoteOptions& options = entry.options;
  const auto step = [&](Action action, std::string why) {
    return Step{Kind::kZygote, options.name, action, std::move(why)};
  };
  const ZygoteInfo* const zygote = FindZygote(known, options.name);
  if (zygote == nullptr) return step(Action::kStart, "it does not run");
  if (zygote->project != options.project) {
    return step(Action::kConflict, OwnedBy(zygote->project));
  }
  if (replaced.count(options.parent) != 0) {
    return step(Action::kReplace,
                "its parent '" + options.parent + "' is replaced");
  }
  if (zygote->state == ZygoteState::kQuarantined) {
    return step(Action::kReplace, "it is quarantined: " + zygote->quarantine);
  }
  const std::string difference =
      DifferenceIn(known.zygote_differences, options.name);
  if (difference.empty()) return step(Action::kKeep, "");
  return replace ? step(Action::kReplace, "it changed: " + difference)
                 : step(Action::kConflict,
                        "it runs, and differs in: " + difference +
                            "; `forkserver reload` replaces it");
}

std::string WhyStart(ServiceState state) {
  switch (state) {
    case ServiceState::kFailed:
      return "it has failed";
    case ServiceState::kBackoff:
      return "it is in backoff";
    case ServiceState::kStarting:
    case ServiceState::kWaiting:
    case ServiceState::kRestarting:
      return "it is starting";
    default:
      return "it was stopped";
  }
}

// Ids of one run of a daemon are "RUN-NUMBER", in the order in which they were
// given.
bool IsOlder(const std::string& one, const std::string& other) {
  const std::size_t at = one.rfind('-');
  const std::size_t there = other.rfind('-');
  if (at == std::string::npos || there == std::string::npos) return false;
  if (one.compare(0, at, other, 0, there) != 0) return true;
  return std::strtoull(one.c_str() + at + 1, nullptr, 10) <
         std::strtoull(other.c_str() + there + 1, nullptr, 10);
}

// Its zygote was replaced after it had begun, and it was not restarted then:
// the new zygote had failed.
bool LivesOffAnOldZygote(const ServiceInfo& service, const Known& known) {
  const ZygoteInfo* const zygote = FindZygote(known, service.zygote);
  return zygote == nullptr || IsOlder(service.worker, zygote->id);
}

Step StepForService(const ServiceEntry& entry, const Known& known, bool reload,
                    const std::set<std::string>& replaced_zygotes) {
  const ServiceOptions& options = entry.options;
  const auto step = [&](Action action, std::string why) {
    return Step{Kind::kService, options.name, action, std::move(why)};
  };
  const ServiceInfo* const service = Find(known.services, options.name);
  if (service == nullptr) return step(Action::kStart, "it is new");
  if (service->project != options.project) {
    return step(Action::kConflict, OwnedBy(service->project));
  }
  const ServiceState state = service->state;
  const std::string difference =
      DifferenceIn(known.service_differences, options.name);
  if (!difference.empty() && !IsUp(state)) {
    return step(Action::kStart, difference + " changed");
  }
  if (!difference.empty()) {
    return reload ? step(Action::kReplace, difference + " changed")
                  : step(Action::kConflict,
                         "it is " + std::string(NameOf(state)) +
                             ", and differs in " + difference +
                             "; `forkserver reload` replaces it");
  }
  if (!options.zygote.empty() && replaced_zygotes.count(options.zygote) != 0 &&
      IsUp(state)) {
    return step(Action::kRestart,
                "its zygote '" + options.zygote + "' is replaced");
  }
  if (reload && !options.zygote.empty() && IsUp(state) &&
      LivesOffAnOldZygote(*service, known)) {
    return step(Action::kRestart,
                "its zygote '" + options.zygote + "' was replaced");
  }
  if (reload || IsAsWanted(state)) return step(Action::kKeep, "");
  return step(Action::kStart, WhyStart(state));
}

void AddSteps(const Project& project, const Known& known, bool reload,
              const std::set<std::string>* wanted, std::vector<Step>& steps) {
  std::set<std::string> zygotes;
  for (const ServiceEntry& service : project.services) {
    if (wanted == nullptr || wanted->count(service.options.name) != 0) {
      zygotes.insert(service.options.zygote);
    }
  }
  // A zygote brings its parent; children come after their parents.
  for (auto entry = project.zygotes.rbegin(); entry != project.zygotes.rend();
       ++entry) {
    if (zygotes.count(entry->options.name) != 0) {
      zygotes.insert(entry->options.parent);
    }
  }
  std::set<std::string> replaced;
  for (const ZygoteEntry& entry : project.zygotes) {
    if (wanted != nullptr && zygotes.count(entry.options.name) == 0) continue;
    steps.push_back(StepForZygote(entry, known, reload, replaced));
    if (steps.back().action == Action::kReplace) {
      replaced.insert(entry.options.name);
    }
  }
  for (const ServiceEntry& entry : project.services) {
    if (wanted != nullptr && wanted->count(entry.options.name) == 0) continue;
    steps.push_back(StepForService(entry, known, reload, replaced));
  }
}

}  // namespace

std::string_view NameOf(Action action) {
  switch (action) {
    case Action::kKeep:
      return "keep";
    case Action::kStart:
      return "start";
    case Action::kReplace:
      return "replace";
    case Action::kRestart:
      return "restart";
    case Action::kRemove:
      return "remove";
    case Action::kConflict:
      return "conflict";
  }
  return "";
}

std::string_view NameOf(Kind kind) {
  return kind == Kind::kZygote ? "zygote" : "service";
}

std::vector<Step> PlanUp(const Project& project, const Known& known,
                         const std::vector<std::string>& names) {
  std::vector<Step> steps;
  const std::vector<std::string> all =
      WithWhatTheyNeed(NeedsOf(project.services), names);
  const std::set<std::string> wanted(all.begin(), all.end());
  AddSteps(project, known, /*reload=*/false, names.empty() ? nullptr : &wanted,
           steps);
  return steps;
}

std::vector<Step> PlanReload(const Project& project, const Known& known) {
  std::vector<Step> steps;
  constexpr char kGone[] = "it is not in the file any more";
  std::vector<const ServiceInfo*> services;
  for (const ServiceInfo& info : known.services) {
    const bool wanted =
        std::any_of(project.services.begin(), project.services.end(),
                    [&](const ServiceEntry& each) {
                      return each.options.name == info.name;
                    });
    if (info.project == project.file && !wanted) services.push_back(&info);
  }
  AddServiceRemovals(services, kGone, steps);
  std::vector<const ZygoteInfo*> zygotes;
  for (const ZygoteInfo& info : known.zygotes) {
    const bool wanted =
        std::any_of(project.zygotes.begin(), project.zygotes.end(),
                    [&](const ZygoteEntry& each) {
                      return each.options.name == info.name;
                    });
    if (info.project == project.file && !wanted &&
        info.state != ZygoteState::kRetiring) {
      zygotes.push_back(&info);
    }
  }
  AddZygoteRemovals(zygotes, kGone, steps);
  AddSteps(project, known, /*reload=*/true, nullptr, steps);
  return steps;
}

std::vector<Step> PlanDown(const std::string& file, const Known& known,
                           const std::vector<std::string>& names) {
  std::vector<Needing> things;
  std::vector<const ServiceInfo*> own;
  for (const ServiceInfo& info : known.services) {
    if (info.project != file) continue;
    own.push_back(&info);
    things.push_back({info.name, info.policy.after});
  }
  std::vector<Step> steps;
  if (names.empty()) {
    AddServiceRemovals(own, "", steps);
    std::vector<const ZygoteInfo*> zygotes;
    for (const ZygoteInfo& info : known.zygotes) {
      if (info.project == file && info.state != ZygoteState::kRetiring) {
        zygotes.push_back(&info);
      }
    }
    AddZygoteRemovals(zygotes, "", steps);
    return steps;
  }
  const std::vector<std::string> all = WithWhatNeedsThem(things, names);
  std::erase_if(own, [&](const ServiceInfo* info) {
    return std::find(all.begin(), all.end(), info->name) == all.end();
  });
  AddServiceRemovals(own, "", steps);
  for (Step& step : steps) {
    if (std::find(names.begin(), names.end(), step.name) == names.end()) {
      step.why = "it is after what is taken down";
    }
  }
  return steps;
}

std::vector<Step> PlanRestart(const Project& project, const Known& known) {
  std::vector<Step> steps = PlanReload(project, known);
  std::erase_if(
      steps, [](const Step& step) { return step.action == Action::kRemove; });
  for (Step& step : steps) {
    if (step.kind == Kind::kService && step.action == Action::kKeep) {
      step.action = Action::kRestart;
    }
  }
  return steps;
}

}  // namespace forkserver::project
