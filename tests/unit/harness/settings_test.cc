#include "tools/harness/plan/settings.h"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tools/toml/nearest_word.h"

namespace forkserver::harness {
namespace {

using std::chrono::milliseconds;

// A project with this forkserver.toml, and a folder in it.
class Project {
 public:
  explicit Project(const std::string& toml = {}) {
    char path[] = "/tmp/fsXXXXXX";
    root_ = ::mkdtemp(path);
    std::filesystem::create_directories(inner());
    if (!toml.empty()) std::ofstream(file()) << toml;
    for (const char* name : {"TEST_TOTAL_SHARDS", "TEST_SHARD_INDEX",
                             "GTEST_TOTAL_SHARDS", "GTEST_SHARD_INDEX"}) {
      ::unsetenv(name);
    }
  }
  ~Project() { std::filesystem::remove_all(root_); }
  std::string inner() const { return root_ + "/some/folder"; }
  std::string file() const { return root_ + "/forkserver.toml"; }
  const std::string& root() const { return root_; }

  SettingsOutcome Make(TestOptions options = {}) const {
    if (options.targets.empty()) options.targets = {"./tests"};
    return MakeSettings(options, inner());
  }
  // What must not go wrong.
  Settings Get(const TestOptions& options = {}) const {
    const SettingsOutcome outcome = Make(options);
    for (const std::string& error : outcome.errors) FAIL_CHECK(error);
    return outcome.settings;
  }
  // Without the path of the file.
  std::vector<std::string> Errors(const TestOptions& options = {}) const {
    std::vector<std::string> errors = Make(options).errors;
    for (std::string& error : errors) {
      const auto at = error.find(file());
      if (at != std::string::npos) error.erase(at, file().size());
    }
    return errors;
  }

 private:
  std::string root_;
};

TestCase MakeTest(const std::string& name) {
  TestCase test;
  test.target = "./tests";
  test.listed.name = name;
  test.id = test.target + "::" + name;
  return test;
}

TEST_CASE("without a file there are defaults") {
  const Project project;
  const Settings settings = project.Get();
  CHECK(settings.jobs >= 1);
  CHECK(settings.repeat == 1);
  CHECK(settings.capture);
  CHECK(settings.leaks == LeakPolicy::kFail);
  CHECK(settings.isolate == Isolation::kTest);
  CHECK_FALSE(settings.shuffle);
  CHECK_FALSE(settings.partition);
  const Rules rules = settings.RulesFor(MakeTest("a"));
  CHECK(rules.timeout == std::chrono::minutes(10));
  CHECK(rules.slow_after == std::chrono::seconds(30));
  CHECK(rules.retries == 0);
}

TEST_CASE("the file is found upwards, and its folder is the project's root") {
  const Project project("[test]\njobs = 3\ntargets = ['build/tests']\n");
  const Settings settings = project.Get();
  CHECK(settings.jobs == 3);
  CHECK(settings.root == project.root());
  const auto own = MakeSettings({}, project.inner());
  CHECK(own.errors.empty());
  CHECK(own.settings.options.targets ==
        std::vector<std::string>{"build/tests"});
}

TEST_CASE("the command line is over the profile, the profile over the file") {
  const Project project(R"(
[test]
jobs = 2
timeout = "10s"
retries = 1
leaks = "warn"
[test.profile.ci]
timeout = "20s"
retries = 2
)");
  CHECK(project.Get().RulesFor(MakeTest("a")).timeout == milliseconds(10'000));
  TestOptions options;
  options.profile = "ci";
  options.retries = 5;
  const Settings settings = project.Get(options);
  const Rules rules = settings.RulesFor(MakeTest("a"));
  CHECK(settings.jobs == 2);
  CHECK(settings.leaks == LeakPolicy::kWarn);
  CHECK(rules.timeout == milliseconds(20'000));
  CHECK(rules.retries == 5);
}

TEST_CASE("every option of the command line is in the settings") {
  TestOptions given;
  given.partition = "hash:1/2";
  given.durations = "times";
  given.rerun = "failed";
  given.debug = "a test";
  given.debugger = "gdb";
  given.framework = "doctest";
  given.python = "python3.11";
  given.preload = {"words"};
  given.arguments = {"-v"};
  given.cold = true;
  given.why = true;
  given.junit = "a.xml";
  given.trace = "a.json";
  given.html = "a.html";
  given.color = "never";
  given.verbose = true;
  given.private_daemon = true;
  const TestOptions options = Project().Get(given).options;
  CHECK(options.partition == given.partition);
  CHECK(options.durations == given.durations);
  CHECK(options.rerun == given.rerun);
  CHECK(options.debug == given.debug);
  CHECK(options.debugger == given.debugger);
  CHECK(options.framework == given.framework);
  CHECK(options.python == given.python);
  CHECK(options.preload == given.preload);
  CHECK(options.arguments == given.arguments);
  CHECK(options.cold);
  CHECK(options.why);
  CHECK(options.junit == given.junit);
  CHECK(options.trace == given.trace);
  CHECK(options.html == given.html);
  CHECK(options.color == given.color);
  CHECK(options.verbose == given.verbose);
  CHECK(options.private_daemon);
  TestOptions list;
  list.list = true;
  CHECK(Project().Get(list).options.list);
}

TEST_CASE("an override is for some tests; the first that speaks counts") {
  const Project project(R"(
[test]
timeout = "10s"
[test.group.gpu]
slots = 2
[[test.override]]
filter = "db*"
timeout = "1m"
mutex = "db"
[[test.override]]
filter = ["db*", "/slow/"]
timeout = "2m"
slots = 4
group = "gpu"
mutex = ["disk", "net"]
[test.profile.ci]
[[test.profile.ci.override]]
filter = "db*"
timeout = "3m"
)");
  Settings settings = project.Get();
  Rules rules = settings.RulesFor(MakeTest("db one"));
  CHECK(rules.timeout == std::chrono::minutes(1));
  CHECK(rules.needs.mutexes == std::vector<std::string>{"db", "disk", "net"});
  CHECK(rules.needs.slots == 4);
  CHECK(rules.needs.group == "gpu");
  CHECK(rules.needs.group_limit == 2);
  rules = settings.RulesFor(MakeTest("a slow one"));
  CHECK(rules.timeout == std::chrono::minutes(2));
  rules = settings.RulesFor(MakeTest("another"));
  CHECK(rules.timeout == std::chrono::seconds(10));
  CHECK(rules.needs.slots == 1);

  TestOptions options;
  options.profile = "ci";
  CHECK(project.Get(options).RulesFor(MakeTest("db one")).timeout ==
        std::chrono::minutes(3));
  options.timeout = milliseconds(7);
  CHECK(project.Get(options).RulesFor(MakeTest("db one")).timeout ==
        milliseconds(7));
}

TEST_CASE("everything that is wrong in a file is told, with its line") {
  const Project project(R"([test]
timout = "10s"
jobs = 0
timeout = "soon"
leaks = "never"
frobnicate = true
[test.profile.ci]
retires = 1
[[test.override]]
timeout = "1s"
[[test.override]]
filter = "/(/"
[[test.override]]
filter = "a"
group = "gpx"
[test.group.gpu]
slots = 2
[other]
)");
  const std::vector<std::string> errors = project.Errors();
  const auto has = [&](const std::string& beginning) {
    for (const std::string& error : errors) {
      if (error.find(beginning) == 0) return true;
    }
    for (const std::string& error : errors) MESSAGE(error);
    return false;
  };
  CHECK(has(":2: unknown key 'test.timout'; did you mean 'timeout'?"));
  CHECK(has(":3: 'jobs' must be a whole number, at least 1"));
  CHECK(has(":4: 'timeout' must be a duration such as"));
  CHECK(has(":5: 'leaks' must be one of \"fail\", \"warn\", \"off\""));
  CHECK(has(":6: unknown key 'test.frobnicate'"));
  CHECK(
      has(":8: unknown key 'test.profile.ci.retires'; did you mean "
          "'retries'?"));
  CHECK(has(":9: an override needs 'filter'"));
  CHECK(has(":11: the filter /(/ is not a regular expression"));
  CHECK(has(":13: there is no group 'gpx'; did you mean 'gpu'?"));
  CHECK(has(":18: unknown key 'other'"));
  CHECK(errors.size() == 10);
}

TEST_CASE("a file that is not TOML is told with its line") {
  const Project project("[test]\njobs = = 2\n");
  const auto errors = project.Errors();
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].find(":2: ") == 0);
}

TEST_CASE("a named file must be there, and a named profile too") {
  const Project project("[test]\n[test.profile.ci]\n[test.profile.night]\n");
  TestOptions options;
  options.profile = "cd";
  auto errors = project.Errors(options);
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].find("--profile: there is no profile 'cd'") == 0);
  CHECK(errors[0].find("ci, night") != std::string::npos);
  options = {};
  options.config = "none.toml";
  CHECK(project.Errors(options).size() == 1);
  options.config = "../../forkserver.toml";
  CHECK(project.Errors(options).empty());
}

TEST_CASE("a command line that means nothing is told") {
  const Project project;
  TestOptions options;
  options.shuffle = "12x";
  options.partition = "thirds:1/3";
  options.isolate = "process";
  options.filters = {"/(/"};
  options.repeat = 2;
  options.stress = milliseconds(1000);
  CHECK(project.Errors(options).size() == 5);
  CHECK_FALSE(MakeSettings({}, project.inner()).errors.empty());
}

TEST_CASE("a shuffle has a seed, also if any will do") {
  const Project project;
  TestOptions options;
  options.shuffle = "17";
  CHECK(project.Get(options).shuffle == 17);
  options.shuffle = "random";
  CHECK(project.Get(options).shuffle.value_or(0) > 0);
}

TEST_CASE("--fail-fast and --max-fail say the same thing") {
  const Project project("[test]\nfail-fast = true\n");
  CHECK(project.Get().max_fail == 1);
  TestOptions options;
  options.max_fail = 3;
  const Settings settings = project.Get(options);
  CHECK(settings.max_fail == 3);
  CHECK(settings.max_fail_asked_by == "--max-fail");
}

TEST_CASE("the nearest word is one that is near") {
  CHECK(NearestWord("timout", {"timeout", "retries"}) == "timeout");
  CHECK(NearestWord("xyz", {"timeout", "retries"}).empty());
  CHECK(NearestWord("", {}).empty());
}

}  // namespace
}  // namespace forkserver::harness
