#include "tools/harness/plan/run_plan.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "tools/harness/plan/order.h"
#include "tools/harness/plan/partition.h"

namespace forkserver::harness {
namespace {

std::string Count(std::size_t number, const char* what) {
  return std::to_string(number) + " " + what + (number == 1 ? "" : "s");
}

template <typename Keep>
void KeepOnly(std::vector<TestCase>& tests, const Keep& keep) {
  std::vector<TestCase> kept;
  for (std::size_t i = 0; i < tests.size(); ++i) {
    if (keep(i)) kept.push_back(std::move(tests[i]));
  }
  tests = std::move(kept);
}

void KeepPart(const Partition& partition, const Durations& durations,
              std::vector<TestCase>& tests, std::vector<std::string>& notes) {
  std::vector<std::string> ids;
  std::vector<std::int64_t> wall_us;
  for (const TestCase& test : tests) {
    ids.push_back(test.id);
    wall_us.push_back(durations.MedianUs(test.id));
  }
  const std::size_t all = tests.size();
  const PartitionOutcome outcome = Divide(partition, ids, wall_us);
  KeepOnly(tests, [&](std::size_t i) { return outcome.in_part[i]; });
  const bool balanced = partition.kind == Partition::Kind::kBalanced;
  std::string note = "part " + std::to_string(partition.index) + " of " +
                     std::to_string(partition.count) + " (" + partition.from +
                     "): " + std::to_string(tests.size()) + " of " +
                     Count(all, "test");
  if (balanced && outcome.by_hash) {
    note += ", by hash: only " + std::to_string(outcome.measured) +
            " have a recorded time";
  } else if (balanced) {
    note += ", plan " + outcome.digest;
  }
  notes.push_back(std::move(note));
}

// Tests that share a worker, in the order of the tests.
std::vector<std::vector<std::size_t>> MakeGroups(
    Isolation isolate, const std::vector<TestCase>& tests) {
  std::vector<std::vector<std::size_t>> groups;
  std::map<std::pair<std::string, std::string>, std::size_t> by_key;
  for (std::size_t i = 0; i < tests.size(); ++i) {
    const protocol::ListedTest& listed = tests[i].listed;
    if (!listed.skip.empty()) continue;
    const std::string& shared =
        isolate == Isolation::kFile ? listed.file : listed.suite;
    if (isolate == Isolation::kTest || shared.empty()) {
      groups.push_back({i});
      continue;
    }
    const auto [at, is_new] =
        by_key.emplace(std::pair(tests[i].target, shared), groups.size());
    if (is_new) groups.emplace_back();
    groups[at->second].push_back(i);
  }
  return groups;
}

std::vector<std::vector<std::size_t>> InOrder(
    const Settings& settings, const std::vector<TestCase>& tests,
    const Durations& durations,
    const std::vector<std::vector<std::size_t>>& groups) {
  std::vector<std::vector<std::size_t>> ordered;
  if (settings.shuffle) {
    // By id first: the order in which targets were named does not matter.
    std::vector<std::vector<std::size_t>> by_id = groups;
    for (auto& group : by_id) {
      std::sort(group.begin(), group.end(),
                [&](auto a, auto b) { return tests[a].id < tests[b].id; });
    }
    std::sort(by_id.begin(), by_id.end(), [&](const auto& a, const auto& b) {
      return tests[a.front()].id < tests[b.front()].id;
    });
    for (const std::size_t at : Shuffled(by_id.size(), *settings.shuffle)) {
      std::vector<std::size_t> group;
      for (const std::size_t i :
           Shuffled(by_id[at].size(), *settings.shuffle)) {
        group.push_back(by_id[at][i]);
      }
      ordered.push_back(std::move(group));
    }
    return ordered;
  }
  std::vector<std::int64_t> wall_us;
  for (const auto& group : groups) {
    std::int64_t sum = 0;
    bool unknown = false;
    for (const std::size_t test : group) {
      const std::int64_t each = durations.MedianUs(tests[test].id);
      unknown |= each == 0;
      sum += each;
    }
    wall_us.push_back(unknown ? 0 : sum);
  }
  for (const std::size_t at : LongestFirst(wall_us)) {
    ordered.push_back(groups[at]);
  }
  return ordered;
}

}  // namespace

PlannedRun MakePlan(const Settings& settings, std::vector<TestCase> tests,
                    const Durations& durations, const LastRun& last_run) {
  PlannedRun run;
  std::vector<std::string>& notes = run.plan.notes;
  if (!settings.selection.selects_all()) {
    const std::size_t all = tests.size();
    KeepOnly(tests, [&](std::size_t i) {
      return settings.selection.Matches(tests[i]);
    });
    notes.push_back("filters: " + std::to_string(tests.size()) + " of " +
                    Count(all, "test"));
  }
  if (!settings.options.rerun.empty()) {
    KeepOnly(tests,
             [&](std::size_t i) { return last_run.HasFailed(tests[i].id); });
    notes.push_back(Count(tests.size(), "test") + " did not pass last time");
  }
  if (settings.partition) {
    const std::size_t all = tests.size();
    KeepPart(*settings.partition, durations, tests, notes);
    run.in_other_parts = all - tests.size();
  }
  if (settings.shuffle) {
    notes.push_back("shuffled: --shuffle " + std::to_string(*settings.shuffle));
  }
  const auto groups =
      InOrder(settings, tests, durations, MakeGroups(settings.isolate, tests));
  // The plan has the tests in the order in which they begin, those that are
  // not run at its end.
  std::vector<bool> placed(tests.size());
  const auto place = [&](std::size_t test) {
    placed[test] = true;
    run.rules.push_back(settings.RulesFor(tests[test]));
    run.plan.last_wall_us.push_back(durations.LastUs(tests[test].id));
    run.plan.tests.push_back(std::move(tests[test]));
  };
  for (const auto& group : groups) {
    run.groups.emplace_back();
    for (const std::size_t test : group) {
      run.groups.back().push_back(run.plan.tests.size());
      place(test);
    }
  }
  for (std::size_t i = 0; i < tests.size(); ++i) {
    if (!placed[i]) place(i);
  }
  run.plan.slots = settings.jobs;
  run.plan.repeat = settings.repeat;
  run.plan.seed = static_cast<std::int64_t>(settings.shuffle.value_or(0));
  return run;
}

}  // namespace forkserver::harness
