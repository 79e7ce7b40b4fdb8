#include "tools/harness/plan/run_plan.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace forkserver::harness {
namespace {

TestCase MakeTest(const std::string& name, const std::string& suite = {},
                  const std::string& file = {}) {
  TestCase test;
  test.target = "t";
  test.listed.name = name;
  test.listed.suite = suite;
  test.listed.file = file;
  test.id = "t::" + name;
  return test;
}

// The names in the order in which they begin; those of a group in brackets.
std::string Text(const PlannedRun& run) {
  std::string text;
  for (const auto& group : run.groups) {
    text += text.empty() ? "" : " ";
    if (group.size() > 1) text += "[";
    for (std::size_t i = 0; i < group.size(); ++i) {
      text += (i > 0 ? " " : "") + run.plan.tests[group[i]].name();
    }
    if (group.size() > 1) text += "]";
  }
  return text;
}

Durations Times(
    const std::vector<std::pair<std::string, std::int64_t>>& times) {
  Durations durations;
  for (const auto& [name, wall_us] : times)
    durations.Add("t::" + name, wall_us);
  return durations;
}

TEST_CASE("unknown tests begin, then the longest") {
  const Settings settings;
  const PlannedRun run =
      MakePlan(settings, {MakeTest("short"), MakeTest("new"), MakeTest("long")},
               Times({{"short", 10}, {"long", 1000}}), {});
  CHECK(Text(run) == "new long short");
  CHECK(run.plan.last_wall_us == std::vector<std::int64_t>{0, 1000, 10});
  CHECK(run.rules.size() == 3);
  CHECK(run.plan.notes.empty());
}

TEST_CASE("filters, the last failures and the part are taken in turn") {
  Settings settings;
  settings.selection = *Selection::Parse({"!b"});
  settings.options.rerun = "failed";
  LastRun last;
  last.Note("t::a", true);
  last.Note("t::b", true);
  const PlannedRun run = MakePlan(
      settings, {MakeTest("a"), MakeTest("b"), MakeTest("c")}, {}, last);
  CHECK(Text(run) == "a");
  CHECK(run.plan.notes ==
        std::vector<std::string>{"filters: 2 of 3 tests",
                                 "1 test did not pass last time"});
}

TEST_CASE("the parts of a run are all of it") {
  std::vector<TestCase> tests;
  for (int i = 0; i < 30; ++i) tests.push_back(MakeTest(std::to_string(i)));
  std::size_t sum = 0;
  for (int part = 1; part <= 3; ++part) {
    Settings settings;
    settings.partition = *ParsePartition("hash:" + std::to_string(part) + "/3");
    const PlannedRun run = MakePlan(settings, tests, {}, {});
    sum += run.plan.tests.size();
    CHECK(run.in_other_parts == 30 - run.plan.tests.size());
    REQUIRE(run.plan.notes.size() == 1);
    CHECK(run.plan.notes[0].find("part " + std::to_string(part) + " of 3") ==
          0);
  }
  CHECK(sum == 30);
}

TEST_CASE("tests of a suite or a file share a worker, in their own order") {
  Settings settings;
  settings.isolate = Isolation::kSuite;
  const std::vector<TestCase> tests = {
      MakeTest("a1", "A", "x"), MakeTest("b1", "B", "x"),
      MakeTest("a2", "A", "y"), MakeTest("none", "", "y")};
  CHECK(Text(MakePlan(settings, tests, {}, {})) == "[a1 a2] b1 none");
  // The longest group first.
  const Durations times =
      Times({{"a1", 10}, {"a2", 10}, {"b1", 30}, {"none", 5}});
  CHECK(Text(MakePlan(settings, tests, times, {})) == "b1 [a1 a2] none");
  settings.isolate = Isolation::kFile;
  CHECK(Text(MakePlan(settings, tests, {}, {})) == "[a1 b1] [a2 none]");
}

TEST_CASE("a shuffle depends on the seed and the names only") {
  Settings settings;
  settings.shuffle = 7;
  std::vector<TestCase> tests;
  for (int i = 0; i < 20; ++i) tests.push_back(MakeTest(std::to_string(i)));
  std::vector<TestCase> reversed(tests.rbegin(), tests.rend());
  const PlannedRun run = MakePlan(settings, tests, {}, {});
  CHECK(Text(run) == Text(MakePlan(settings, reversed, {}, {})));
  CHECK(run.plan.seed == 7);
  CHECK(run.plan.notes == std::vector<std::string>{"shuffled: --shuffle 7"});
  settings.shuffle = 8;
  CHECK(Text(run) != Text(MakePlan(settings, tests, {}, {})));
}

TEST_CASE("what its framework would skip is planned and not run") {
  std::vector<TestCase> tests = {MakeTest("a"), MakeTest("b")};
  tests[0].listed.skip = "DISABLED_";
  const PlannedRun run = MakePlan({}, tests, {}, {});
  CHECK(Text(run) == "b");
  CHECK(run.plan.tests.size() == 2);
}

}  // namespace
}  // namespace forkserver::harness
