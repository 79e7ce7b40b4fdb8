#include "tools/project/plan.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "tools/project/order.h"

namespace forkserver::project {
namespace {

using enum ServiceState;
using Words = std::vector<std::string>;

constexpr char kFile[] = "/p/forkserver.toml";

ServiceEntry Service(const std::string& name, Words after = {},
                     const std::string& zygote = {}) {
  ServiceEntry entry;
  entry.options.name = name;
  entry.options.project = kFile;
  entry.options.policy.after = std::move(after);
  entry.options.zygote = zygote;
  return entry;
}

ZygoteEntry Zygote(const std::string& name, const std::string& parent = {}) {
  ZygoteEntry entry;
  entry.options.name = name;
  entry.options.project = kFile;
  entry.options.parent = parent;
  return entry;
}

ServiceInfo Info(const std::string& name, ServiceState state, Words after = {},
                 const std::string& project = kFile) {
  ServiceInfo info;
  info.name = name;
  info.state = state;
  info.policy.after = std::move(after);
  info.project = project;
  return info;
}

ZygoteInfo ZygoteOf(const std::string& name, const std::string& parent = {},
                    const std::string& project = kFile) {
  ZygoteInfo info;
  info.name = name;
  info.state = ZygoteState::kReady;
  info.parent = parent;
  info.project = project;
  return info;
}

Project MakeProject(std::vector<ServiceEntry> services,
                    std::vector<ZygoteEntry> zygotes = {}) {
  Project project;
  project.file = kFile;
  project.services = std::move(services);
  project.zygotes = std::move(zygotes);
  return project;
}

std::string Show(const std::vector<Step>& steps) {
  std::string text;
  for (const Step& step : steps) {
    text += std::string(NameOf(step.action)) + " " +
            (step.kind == Kind::kZygote ? "zygote " : "") + step.name +
            (step.why.empty() ? "" : ": " + step.why) + "\n";
  }
  return text;
}

TEST_CASE("up starts what does not run, and leaves alone what does") {
  const Project project = MakeProject(
      {Service("db"), Service("job"), Service("web", {"db"}), Service("new"),
       Service("off"), Service("bad"), Service("slow")},
      {Zygote("z")});
  Known known;
  known.services = {Info("db", kRunning),  Info("job", kFinished),
                    Info("web", kBackoff), Info("off", kStopped),
                    Info("bad", kFailed),  Info("slow", kStarting)};
  CHECK(Show(PlanUp(project, known, {})) ==
        "start zygote z: it does not run\n"
        "keep db\n"
        "keep job\n"
        "start web: it is in backoff\n"
        "start new: it is new\n"
        "start off: it was stopped\n"
        "start bad: it has failed\n"
        "start slow: it is starting\n");
}

TEST_CASE("up with names brings what they need, and no more") {
  const Project project = MakeProject(
      {Service("db"), Service("other"), Service("cache", {"db"}, "child"),
       Service("web", {"cache"})},
      {Zygote("parent"), Zygote("child", "parent"), Zygote("unused")});
  CHECK(Show(PlanUp(project, {}, {"web"})) ==
        "start zygote parent: it does not run\n"
        "start zygote child: it does not run\n"
        "start db: it is new\n"
        "start cache: it is new\n"
        "start web: it is new\n");
}

TEST_CASE("up replaces nothing that runs, but starts anew what does not") {
  const Project project = MakeProject({Service("runs"), Service("stopped"),
                                       Service("theirs"), Service("nobodys")},
                                      {Zygote("z"), Zygote("theirs")});
  Known known;
  known.services = {Info("runs", kRunning), Info("stopped", kStopped),
                    Info("theirs", kRunning, {}, "/q/forkserver.toml"),
                    Info("nobodys", kStopped, {}, "")};
  known.zygotes = {ZygoteOf("z"), ZygoteOf("theirs", "", "/q/forkserver.toml")};
  known.service_differences = {{"runs", "its command"},
                               {"stopped", "its command"}};
  known.zygote_differences = {{"z", "argv"}};
  CHECK(Show(PlanUp(project, known, {})) ==
        "conflict zygote z: it runs, and differs in: argv; `forkserver reload` "
        "replaces it\n"
        "conflict zygote theirs: one of this name belongs to "
        "/q/forkserver.toml\n"
        "conflict runs: it is running, and differs in its command; "
        "`forkserver reload` replaces it\n"
        "start stopped: its command changed\n"
        "conflict theirs: one of this name belongs to /q/forkserver.toml\n"
        "conflict nobodys: one of this name runs already, and belongs to no "
        "project\n");
}

TEST_CASE("reload touches what has changed, is new or is gone") {
  const Project project =
      MakeProject({Service("same"), Service("changed"), Service("new"),
                   Service("stopped"), Service("edited")});
  Known known;
  known.services = {Info("same", kRunning),
                    Info("changed", kRunning),
                    Info("gone", kRunning),
                    Info("after-gone", kRunning, {"gone"}),
                    Info("stopped", kStopped),
                    Info("edited", kFailed),
                    Info("theirs", kRunning, {}, "/q/forkserver.toml"),
                    Info("nobodys", kRunning, {}, "")};
  known.zygotes = {ZygoteOf("gone"), ZygoteOf("child", "gone"),
                   ZygoteOf("nobodys", "", "")};
  known.service_differences = {
      {"changed", "its command and its environment (PORT)"},
      {"edited", "its command"}};
  CHECK(Show(PlanReload(project, known)) ==
        "remove after-gone: it is not in the file any more\n"
        "remove gone: it is not in the file any more\n"
        "remove zygote child: it is not in the file any more\n"
        "remove zygote gone: it is not in the file any more\n"
        "keep same\n"
        "replace changed: its command and its environment (PORT) changed\n"
        "start new: it is new\n"
        "keep stopped\n"
        "start edited: its command changed\n");
}

TEST_CASE("a zygote that is replaced takes its children and workers along") {
  const Project project =
      MakeProject({Service("a", {}, "z"), Service("b", {}, "child"),
                   Service("off", {}, "z"), Service("c")},
                  {Zygote("z"), Zygote("child", "z"), Zygote("other")});
  Known known;
  known.services = {Info("a", kRunning), Info("b", kRunning),
                    Info("off", kStopped), Info("c", kRunning)};
  known.zygotes = {ZygoteOf("z"), ZygoteOf("child", "z"), ZygoteOf("other")};
  known.zygote_differences = {{"z", "preload list"}};
  CHECK(Show(PlanReload(project, known)) ==
        "replace zygote z: it changed: preload list\n"
        "replace zygote child: its parent 'z' is replaced\n"
        "keep zygote other\n"
        "restart a: its zygote 'z' is replaced\n"
        "restart b: its zygote 'child' is replaced\n"
        "keep off\n"
        "keep c\n");
}

TEST_CASE("what still lives off a zygote that was replaced is restarted") {
  const Project project =
      MakeProject({Service("old", {}, "z"), Service("new", {}, "z"),
                   Service("off", {}, "z"), Service("adopted", {}, "z"),
                   Service("orphan", {}, "gone")},
                  {Zygote("z"), Zygote("gone")});
  Known known;
  known.services = {Info("old", kRunning), Info("new", kRunning),
                    Info("off", kStopped), Info("adopted", kRunning),
                    Info("orphan", kRunning)};
  for (ServiceInfo& each : known.services) {
    each.zygote = each.name == "orphan" ? "gone" : "z";
  }
  known.services[0].worker = "abc-9";
  known.services[1].worker = "abc-11";
  known.services[3].worker = "abb-11";
  known.zygotes = {ZygoteOf("z")};
  known.zygotes[0].id = "abc-10";
  CHECK(Show(PlanReload(project, known)) ==
        "keep zygote z\n"
        "start zygote gone: it does not run\n"
        "restart old: its zygote 'z' was replaced\n"
        "keep new\n"
        "keep off\n"
        "restart adopted: its zygote 'z' was replaced\n"
        "restart orphan: its zygote 'gone' was replaced\n");
}

TEST_CASE("down is the project's only, those who need others first") {
  Known known;
  known.services = {Info("db", kRunning), Info("cache", kRunning, {"db"}),
                    Info("web", kFailed, {"cache", "db"}),
                    Info("apart", kStopped),
                    Info("theirs", kRunning, {"db"}, "/q/forkserver.toml")};
  known.zygotes = {ZygoteOf("z"), ZygoteOf("theirs", "", "")};
  CHECK(Show(PlanDown(kFile, known, {})) ==
        "remove apart\n"
        "remove web\n"
        "remove cache\n"
        "remove db\n"
        "remove zygote z\n");
  CHECK(Show(PlanDown(kFile, known, {"cache"})) ==
        "remove web: it is after what is taken down\n"
        "remove cache\n");
  CHECK(PlanDown("/other", known, {}).empty());
}

TEST_CASE("restart is a reload that also restarts what is the same") {
  const Project project =
      MakeProject({Service("a"), Service("b"), Service("c")});
  Known known;
  known.services = {Info("a", kRunning), Info("b", kFinished),
                    Info("gone", kRunning)};
  known.service_differences = {{"b", "its command"}};
  CHECK(Show(PlanRestart(project, known)) ==
        "restart a\n"
        "start b: its command changed\n"
        "start c: it is new\n");
}

TEST_CASE("what needs nothing comes first, and otherwise all stay in place") {
  const Order order =
      SortByNeed({{"c", {"a"}}, {"b", {}}, {"a", {"not there"}}, {"d", {"c"}}});
  CHECK(order.cycle.empty());
  CHECK(order.order == std::vector<std::size_t>{1, 2, 0, 3});
}

}  // namespace
}  // namespace forkserver::project
