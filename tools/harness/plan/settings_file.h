// forkserver.toml: the settings that a project keeps. Reads the file.
//
//   [test]                     what holds for every run
//   timeout = "30s"
//   [test.profile.ci]          over that, with --profile ci
//   retries = 2
//   [[test.override]]          for some of the tests
//   filter = "db*"
//   mutex = "db"
//   [test.group.gpu]           at most so many of them at a time
//   slots = 2
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tools/harness/plan/options.h"
#include "tools/harness/plan/selection.h"

namespace forkserver::harness {

// What somebody says about one test; the rest is absent.
struct PartialRules {
  std::optional<std::chrono::milliseconds> timeout;
  std::optional<std::chrono::milliseconds> slow_after;
  std::optional<std::chrono::milliseconds> grace;
  std::optional<int> retries;
  std::optional<std::chrono::milliseconds> retry_delay;
  std::vector<std::string> mutexes;
  std::optional<int> slots;
  std::string group;
};

struct Override {
  Selection filter;
  PartialRules rules;
};

struct SettingsSection {
  TestOptions options;
  std::vector<Override> overrides;
};

struct SettingsFile {
  std::string path;
  SettingsSection test;
  std::map<std::string, SettingsSection> profiles;
  std::map<std::string, int> groups;  // with their limits
};

// Everything that is wrong is appended to `errors`, each with file and line.
SettingsFile ReadSettingsFile(const std::string& path,
                              std::vector<std::string>& errors);

}  // namespace forkserver::harness
