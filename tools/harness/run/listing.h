// The tests of a plan as text, for `--list`.
#pragma once

#include <string>

#include "tools/harness/model/test_model.h"

namespace forkserver::harness {

// A line for each test: its id, its tags, why it would be skipped.
std::string ListAsText(const RunPlan& plan);

// An array of objects: id target name suite file line tags skip last_wall_us.
std::string ListAsJson(const RunPlan& plan);

}  // namespace forkserver::harness
