#include "tools/forkserver/project_commands.h"

#include <forkserver/client.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tools/forkserver/connect.h"
#include "tools/forkserver/exit_codes.h"
#include "tools/forkserver/json.h"
#include "tools/forkserver/output.h"
#include "tools/forkserver/service_commands.h"
#include "tools/harness/plan/settings_file.h"
#include "tools/project/carry_out.h"
#include "tools/project/plan.h"
#include "tools/project/problem.h"
#include "tools/project/project_file.h"
#include "tools/toml/toml_file.h"

extern char** environ;

namespace forkserver::cli {
namespace {

using project::Action;
using project::Known;
using project::Outcome;
using project::Problem;
using project::Project;
using project::Step;

std::string RealPath(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(
      ::realpath(path.c_str(), nullptr), &std::free);
  return real ? std::string(real.get()) : std::string();
}

struct FilePath {
  std::string real;   // absolute, with no link in its folder
  std::string shown;  // as somebody here would call it
};

Result<FilePath> FindFile(const Options& options) {
  FilePath path;
  path.shown = options.project_file;
  const std::string here = RealPath(".");
  if (path.shown.empty()) {
    path.shown = FindForkserverToml(here);
    if (path.shown.empty()) {
      return MakeError(error_code::kBadRequest,
                       "there is no forkserver.toml in this folder or above it",
                       "name one with --file");
    }
    const std::string prefix = here + "/";
    if (path.shown.compare(0, prefix.size(), prefix) == 0) {
      path.shown.erase(0, prefix.size());
    }
  }
  // A link to a file is a project of the folder in which the link is.
  const std::size_t slash = path.shown.rfind('/');
  const std::string folder =
      slash == std::string::npos ? "." : path.shown.substr(0, slash + 1);
  const std::string real = RealPath(folder);
  if (real.empty()) {
    return SystemError(path.shown + " cannot be read", errno);
  }
  path.real = (real == "/" ? "" : real) + "/" +
              path.shown.substr(slash == std::string::npos ? 0 : slash + 1);
  return path;
}

project::ProjectOutcome ReadProject(const FilePath& path) {
  std::vector<std::string> environment;
  for (char** each = environ; each != nullptr && *each != nullptr; ++each) {
    environment.emplace_back(*each);
  }
  return project::MakeProject(ReadTomlFile(path.real), path.real, path.shown,
                              environment);
}

int FailUsage(const Error& error) {
  PrintError(error.ToString());
  return kUsage;
}

// The project, or nothing and everything that is wrong with it.
std::optional<Project> Load(const Options& options) {
  auto path = FindFile(options);
  if (!path) {
    FailUsage(path.error());
    return std::nullopt;
  }
  project::ProjectOutcome outcome = ReadProject(*path);
  for (const Problem& problem : outcome.problems) {
    PrintError(ToText(problem));
  }
  if (!outcome.problems.empty()) return std::nullopt;
  return std::move(outcome.project);
}

std::string PastOf(const std::string& action) {
  if (action == "keep") return "unchanged";
  if (action == "start") return "started";
  if (action == "replace") return "replaced";
  if (action == "restart") return "restarted";
  if (action == "remove") return "removed";
  return action;
}

// One line for each outcome, as soon as there is one.
class Rows {
 public:
  Rows(const Options& options, const std::vector<Step>& steps)
      : options_(options) {
    for (const Step& step : steps) {
      name_width_ = std::max(name_width_, Name(step.kind, step.name).size());
    }
  }

  void Print(const Outcome& outcome) const {
    if (!options_.json) {
      std::string text =
          Name(outcome.kind == "zygote" ? project::Kind::kZygote
                                        : project::Kind::kService,
               outcome.name);
      text.resize(name_width_ + 2, ' ');
      std::string state = outcome.state.value_or("-");
      state.resize(std::max<std::size_t>(state.size(), 10), ' ');
      text += state + "  ";
      if (outcome.error) {
        text += options_.dry_run ? "conflict" : "failed";
      } else {
        text += options_.dry_run ? outcome.action : PastOf(outcome.action);
        if (!outcome.why.empty()) text += ": " + outcome.why;
      }
      PrintLine(text);
      FlushOutput();
    }
    if (outcome.error) PrintError(outcome.name + ": " + *outcome.error);
  }

 private:
  static std::string Name(project::Kind kind, const std::string& name) {
    return kind == project::Kind::kZygote ? "zygote " + name : name;
  }

  const Options& options_;
  std::size_t name_width_ = 0;
};

int Report(const Options& options, const std::vector<Outcome>& outcomes) {
  if (options.json) PrintLine(ToJson(outcomes));
  const bool failed =
      std::any_of(outcomes.begin(), outcomes.end(),
                  [](const Outcome& outcome) { return !!outcome.error; });
  return failed ? kNotAll : kOk;
}

int ShowPlan(const Options& options, const std::vector<Step>& steps,
             const Known& known) {
  const Rows rows(options, steps);
  std::vector<Outcome> outcomes;
  for (const Step& step : steps) {
    outcomes.push_back(OutcomeOf(step, known));
    if (step.action == Action::kConflict) outcomes.back().error = step.why;
    rows.Print(outcomes.back());
  }
  return Report(options, outcomes);
}

using MakePlan = std::function<std::vector<Step>(const Known&)>;

int RunPlan(const Options& options, Client& client, const Project& project,
            const MakePlan& plan) {
  auto known = ReadKnown(client, project);
  if (!known) return Fail(known.error());
  const std::vector<Step> steps = plan(*known);
  if (options.dry_run) return ShowPlan(options, steps, *known);
  const Rows rows(options, steps);
  project::CarryOutOptions how;
  how.grace = options.stop_grace;
  how.no_wait = options.no_wait;
  how.on_outcome = [&rows](const Outcome& outcome) { rows.Print(outcome); };
  auto outcomes = CarryOut(client, project, *known, steps, how);
  if (!outcomes) return Fail(outcomes.error());
  return Report(options, *outcomes);
}

// With a daemon, which is started unless nothing is to be done.
int WithDaemon(const Options& options, const Project& project,
               const MakePlan& plan) {
  if (options.dry_run) {
    auto client = ConnectToRunning(options);
    if (!client && IsAbsent(client.error())) {
      return ShowPlan(options, plan({}), {});
    }
    if (!client) return Fail(client.error());
    return RunPlan(options, *client, project, plan);
  }
  auto client = ConnectOrStart(options);
  if (!client) return Fail(client.error());
  return RunPlan(options, *client, project, plan);
}

// What is wrong with the names, or nothing.
std::optional<Error> CheckNames(const std::vector<std::string>& names,
                                const std::set<std::string>& known) {
  for (const std::string& name : names) {
    if (known.count(name) != 0) continue;
    return MakeError(
        error_code::kUnknownService,
        "the project has no service '" + name + "'" +
            project::DidYouMean(
                name, std::vector<std::string>(known.begin(), known.end())));
  }
  return std::nullopt;
}

std::set<std::string> ServiceNames(const Project& project) {
  std::set<std::string> names;
  for (const project::ServiceEntry& entry : project.services) {
    names.insert(entry.options.name);
  }
  return names;
}

// What `forkserver test` says of the [test] part. A line of which something is
// said already says no more.
void AddTestProblems(const FilePath& path, std::vector<Problem>& problems) {
  std::vector<std::string> errors;
  static_cast<void>(harness::ReadSettingsFile(path.real, errors));
  std::set<int> lines;
  for (const Problem& problem : problems) lines.insert(problem.line);
  for (const std::string& error : errors) {
    const std::string prefix = path.real + ":";
    Problem problem;
    problem.file = path.shown;
    problem.message = error;
    if (error.compare(0, prefix.size(), prefix) == 0) {
      char* end = nullptr;
      problem.line = static_cast<int>(
          std::strtol(error.c_str() + prefix.size(), &end, 10));
      problem.message = std::string(end).substr(std::string(": ").size());
    }
    if (lines.count(problem.line) == 0) problems.push_back(std::move(problem));
  }
  std::stable_sort(
      problems.begin(), problems.end(),
      [](const Problem& a, const Problem& b) { return a.line < b.line; });
}

std::string Count(std::size_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

}  // namespace

int BringUp(const Options& options) {
  const std::optional<Project> project = Load(options);
  if (!project) return kUsage;
  if (auto wrong = CheckNames(options.names, ServiceNames(*project))) {
    return FailUsage(*wrong);
  }
  return WithDaemon(options, *project, [&](const Known& known) {
    return PlanUp(*project, known, options.names);
  });
}

int ReloadProject(const Options& options) {
  const std::optional<Project> project = Load(options);
  if (!project) return kUsage;
  return WithDaemon(options, *project, [&](const Known& known) {
    return PlanReload(*project, known);
  });
}

int RestartProject(const Options& options) {
  const std::optional<Project> project = Load(options);
  if (!project) return kUsage;
  return WithDaemon(options, *project, [&](const Known& known) {
    return PlanRestart(*project, known);
  });
}

int RestartServiceOrProject(const Options& options) {
  return options.service.empty() ? RestartProject(options)
                                 : RestartService(options);
}

int TakeDown(const Options& options) {
  auto path = FindFile(options);
  if (!path) return FailUsage(path.error());
  // Whatever the file says now: what it said when it was brought up is known
  // to the daemon.
  Project project;
  project.file = path->real;
  std::set<std::string> names = ServiceNames(ReadProject(*path).project);
  auto client = ConnectToRunning(options);
  if (!client && !IsAbsent(client.error())) return Fail(client.error());
  Known known;
  if (client) {
    auto read = ReadKnown(*client, project);
    if (!read) return Fail(read.error());
    known = *std::move(read);
  }
  for (const ServiceInfo& service : known.services) {
    if (service.project == project.file) names.insert(service.name);
  }
  if (auto wrong = CheckNames(options.names, names)) return FailUsage(*wrong);
  const MakePlan plan = [&](const Known& now) {
    return PlanDown(project.file, now, options.names);
  };
  if (!client || plan(known).empty()) {
    if (!options.json) PrintLine("nothing to take down");
    return Report(options, {});
  }
  return RunPlan(options, *client, project, plan);
}

int CheckProject(const Options& options) {
  auto path = FindFile(options);
  if (!path) return FailUsage(path.error());
  project::ProjectOutcome outcome = ReadProject(*path);
  AddTestProblems(*path, outcome.problems);
  if (options.json) {
    PrintLine(ToJson(outcome.problems));
  } else if (outcome.problems.empty()) {
    PrintLine(path->shown + ": " +
              Count(outcome.project.services.size(), "service") + " and " +
              Count(outcome.project.zygotes.size(), "zygote") +
              ", nothing is wrong");
  } else {
    for (const Problem& problem : outcome.problems) PrintLine(ToText(problem));
  }
  return outcome.problems.empty() ? kOk : kNotAll;
}

}  // namespace forkserver::cli
