#include "tools/harness/run/schedule.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace forkserver::harness {
namespace {

Unit MakeUnit(std::size_t test) {
  Unit unit;
  unit.tests = {test};
  return unit;
}

Schedule WithTests(int slots, std::vector<Needs> needs) {
  const std::size_t count = needs.size();
  Schedule schedule(slots, std::move(needs));
  for (std::size_t i = 0; i < count; ++i) schedule.Add(MakeUnit(i));
  return schedule;
}

// The tests that can begin now, as they come: "0 1"; "-" if none can.
std::string TakeAll(Schedule& schedule, std::vector<Unit>& taken,
                    std::int64_t now_ns = 0) {
  std::string text;
  while (auto unit = schedule.Take(now_ns)) {
    text += (text.empty() ? "" : " ") + std::to_string(unit->tests.front());
    taken.push_back(*std::move(unit));
  }
  return text.empty() ? "-" : text;
}

Needs Mutex(const std::string& name) {
  Needs needs;
  needs.mutexes = {name};
  return needs;
}

TEST_CASE("as many begin as there are slots, in their order") {
  Schedule schedule = WithTests(2, std::vector<Needs>(3));
  std::vector<Unit> taken;
  CHECK(TakeAll(schedule, taken) == "0 1");
  CHECK(schedule.running() == 2);
  CHECK_FALSE(schedule.empty());
  schedule.Release(taken[0]);
  CHECK(TakeAll(schedule, taken) == "2");
  CHECK(schedule.empty());
}

TEST_CASE("of those that need the same mutex one runs at a time") {
  Schedule schedule = WithTests(3, {Mutex("db"), Mutex("db"), Needs()});
  std::vector<Unit> taken;
  CHECK(TakeAll(schedule, taken) == "0 2");
  schedule.Release(taken[1]);
  CHECK(TakeAll(schedule, taken) == "-");
  schedule.Release(taken[0]);
  CHECK(TakeAll(schedule, taken) == "1");
}

TEST_CASE("a heavy test takes several slots and is not overtaken for ever") {
  Needs heavy;
  heavy.slots = 2;
  Schedule schedule = WithTests(2, {Needs(), heavy, Needs()});
  std::vector<Unit> taken;
  CHECK(TakeAll(schedule, taken) == "0");
  schedule.Release(taken[0]);
  CHECK(TakeAll(schedule, taken) == "1");
  schedule.Release(taken[1]);
  CHECK(TakeAll(schedule, taken) == "2");
}

TEST_CASE("one that is heavier than the run takes all of it") {
  Needs heavy;
  heavy.slots = 100;
  Schedule schedule = WithTests(2, {heavy, Needs()});
  std::vector<Unit> taken;
  CHECK(TakeAll(schedule, taken) == "0");
}

TEST_CASE("a group has no more tests at a time than it may") {
  Needs gpu;
  gpu.group = "gpu";
  gpu.group_limit = 2;
  Schedule schedule = WithTests(4, {gpu, gpu, gpu, Needs()});
  std::vector<Unit> taken;
  CHECK(TakeAll(schedule, taken) == "0 1 3");
  schedule.Release(taken[1]);
  CHECK(TakeAll(schedule, taken) == "2");
}

TEST_CASE("what is tried again waits for its time and then goes first") {
  Schedule schedule = WithTests(1, std::vector<Needs>(3));
  std::vector<Unit> taken;
  CHECK(TakeAll(schedule, taken) == "0");
  schedule.Release(taken[0]);
  Unit again = MakeUnit(0);
  again.not_before_ns = 100;
  schedule.AddAgain(again);
  CHECK(schedule.NextTimeNs() == 100);
  CHECK(TakeAll(schedule, taken, 99) == "1");
  schedule.Release(taken[1]);
  CHECK(TakeAll(schedule, taken, 100) == "0");
  CHECK(taken.back().again);
  CHECK_FALSE(schedule.NextTimeNs());
}

TEST_CASE("one that is to run alone runs alone") {
  Schedule schedule = WithTests(3, std::vector<Needs>(4));
  std::vector<Unit> taken;
  CHECK(TakeAll(schedule, taken) == "0 1 2");
  Unit alone = MakeUnit(0);
  alone.alone = true;
  schedule.Release(taken[0]);
  schedule.AddAgain(alone);
  CHECK(TakeAll(schedule, taken) == "-");
  schedule.Release(taken[1]);
  schedule.Release(taken[2]);
  CHECK(TakeAll(schedule, taken) == "0");
  schedule.Release(taken.back());
  CHECK(TakeAll(schedule, taken) == "3");
}

TEST_CASE("what is dropped does not begin, and is counted") {
  Schedule schedule = WithTests(1, std::vector<Needs>(4));
  std::vector<Unit> taken;
  CHECK(TakeAll(schedule, taken) == "0");
  schedule.AddAgain(MakeUnit(0));
  CHECK(schedule.DropNew() == 3);
  CHECK_FALSE(schedule.empty());
  CHECK(schedule.DropAll() == 1);
  CHECK(schedule.empty());
  CHECK(schedule.running() == 1);
}

}  // namespace
}  // namespace forkserver::harness
