// From the tests that the targets have to what is run: which, in which order,
// which of them share a worker, by which rules. Pure but for its inputs.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "tools/harness/model/test_model.h"
#include "tools/harness/plan/durations.h"
#include "tools/harness/plan/last_run.h"
#include "tools/harness/plan/settings.h"

namespace forkserver::harness {

struct PlannedRun {
  // `tests`, `last_wall_us`, `seed`, `repeat`, `slots` and `notes` are set.
  RunPlan plan;
  // Tests that share a worker, by index, in the order in which they begin.
  // Those that their framework would not run are in none.
  std::vector<std::vector<std::size_t>> groups;
  std::vector<Rules> rules;        // of each test
  std::size_t in_other_parts = 0;  // tests that the partition leaves to others
};

PlannedRun MakePlan(const Settings& settings, std::vector<TestCase> tests,
                    const Durations& durations, const LastRun& last_run);

}  // namespace forkserver::harness
