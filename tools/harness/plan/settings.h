// The settings of a run: the command line, over a profile, over the rest of
// forkserver.toml, over the environment and the defaults. Plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tools/harness/model/test_model.h"
#include "tools/harness/plan/options.h"
#include "tools/harness/plan/partition.h"
#include "tools/harness/plan/rules.h"
#include "tools/harness/plan/settings_file.h"

namespace forkserver::harness {

// How many tests share a worker: each has one of its own, or those of a suite
// do, or those of a file.
enum class Isolation { kTest, kSuite, kFile };

struct Settings {
  std::string root;  // of the project: where forkserver.toml, else .git is
  int jobs = 1;
  int max_fail = 0;               // 0: never stops
  std::string max_fail_asked_by;  // "--fail-fast"
  int repeat = 1;
  std::chrono::milliseconds stress{0};
  std::optional<std::uint64_t> shuffle;
  Isolation isolate = Isolation::kTest;
  LeakPolicy leaks = LeakPolicy::kFail;
  bool capture = true;
  std::optional<Partition> partition;
  Selection selection;
  // What is only handed on.
  TestOptions options;

  // What holds for a test: the command line, then the first override that
  // matches and says it, then the section.
  Rules RulesFor(const TestCase& test) const;

  // --- of RulesFor ---
  PartialRules command_line;
  std::vector<Override> overrides;
  Rules defaults;
  std::vector<std::pair<std::string, int>> groups;  // with their limits
};

struct SettingsOutcome {
  Settings settings;
  // Everything that is wrong; each is a line for a person.
  std::vector<std::string> errors;
};

// `cwd`: where forkserver.toml is looked for, here and upwards.
SettingsOutcome MakeSettings(const TestOptions& options,
                             const std::string& cwd);

}  // namespace forkserver::harness
