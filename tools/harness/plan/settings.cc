#include "tools/harness/plan/settings.h"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <random>
#include <thread>

#include "tools/toml/toml_file.h"

namespace forkserver::harness {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kTimeout = std::chrono::minutes(10);
constexpr milliseconds kSlowAfter = std::chrono::seconds(30);
constexpr milliseconds kGrace = std::chrono::seconds(5);
constexpr milliseconds kRetryDelay{0};

template <typename T>
void Overlay(std::optional<T>& target, const std::optional<T>& over) {
  if (over) target = over;
}
void Overlay(std::string& target, const std::string& over) {
  if (!over.empty()) target = over;
}
void Overlay(std::vector<std::string>& target,
             const std::vector<std::string>& over) {
  if (!over.empty()) target = over;
}
void Overlay(bool& target, bool over) { target = target || over; }

// What `over` says counts.
void Overlay(TestOptions& target, const TestOptions& over) {
  Overlay(target.targets, over.targets);
  Overlay(target.filters, over.filters);
  Overlay(target.config, over.config);
  Overlay(target.profile, over.profile);
  Overlay(target.jobs, over.jobs);
  Overlay(target.timeout, over.timeout);
  Overlay(target.slow_after, over.slow_after);
  Overlay(target.grace, over.grace);
  Overlay(target.retries, over.retries);
  Overlay(target.retry_delay, over.retry_delay);
  // The two say the same: whoever says one says the other.
  if (over.fail_fast || over.max_fail) {
    target.fail_fast = over.fail_fast;
    target.max_fail = over.max_fail;
  }
  Overlay(target.repeat, over.repeat);
  Overlay(target.stress, over.stress);
  Overlay(target.shuffle, over.shuffle);
  Overlay(target.isolate, over.isolate);
  Overlay(target.leaks, over.leaks);
  Overlay(target.capture, over.capture);
  Overlay(target.partition, over.partition);
  Overlay(target.durations, over.durations);
  Overlay(target.rerun, over.rerun);
  Overlay(target.list, over.list);
  Overlay(target.debug, over.debug);
  Overlay(target.debugger, over.debugger);
  Overlay(target.framework, over.framework);
  Overlay(target.python, over.python);
  Overlay(target.preload, over.preload);
  Overlay(target.arguments, over.arguments);
  Overlay(target.cold, over.cold);
  Overlay(target.why, over.why);
  Overlay(target.junit, over.junit);
  Overlay(target.trace, over.trace);
  Overlay(target.html, over.html);
  Overlay(target.color, over.color);
  Overlay(target.verbose, over.verbose);
  Overlay(target.private_daemon, over.private_daemon);
}

PartialRules RulesOf(const TestOptions& options) {
  PartialRules rules;
  rules.timeout = options.timeout;
  rules.slow_after = options.slow_after;
  rules.grace = options.grace;
  rules.retries = options.retries;
  rules.retry_delay = options.retry_delay;
  return rules;
}

std::string ProjectRoot(const std::string& cwd) {
  for (std::string at = cwd; !at.empty();) {
    struct stat info = {};
    if (::stat((at + "/.git").c_str(), &info) == 0) return at;
    at.resize(at.rfind('/') == std::string::npos ? 0 : at.rfind('/'));
  }
  return cwd;
}

std::string Absolute(const std::string& path, const std::string& cwd) {
  return path.front() == '/' ? path : cwd + "/" + path;
}

// The section that holds: of the file, with the profile over it.
SettingsSection ReadSections(const TestOptions& options, const std::string& cwd,
                             Settings& settings,
                             std::vector<std::string>& errors) {
  const std::string path = options.config.empty()
                               ? FindForkserverToml(cwd)
                               : Absolute(options.config, cwd);
  SettingsSection section;
  SettingsFile file;
  if (!path.empty()) {
    settings.root = path.substr(0, path.rfind('/'));
    file = ReadSettingsFile(path, errors);
    section = file.test;
    settings.groups.assign(file.groups.begin(), file.groups.end());
  } else {
    settings.root = ProjectRoot(cwd);
  }
  if (options.profile.empty()) return section;
  const auto profile = file.profiles.find(options.profile);
  if (profile == file.profiles.end()) {
    std::string known;
    for (const auto& [name, each] : file.profiles) {
      known += (known.empty() ? "" : ", ") + name;
    }
    const std::string where = path.empty()    ? "there is no forkserver.toml"
                              : known.empty() ? path + " has no profile"
                                              : path + " has " + known;
    errors.push_back("--profile: there is no profile '" + options.profile +
                     "': " + where);
    return section;
  }
  Overlay(section.options, profile->second.options);
  section.overrides.insert(section.overrides.begin(),
                           profile->second.overrides.begin(),
                           profile->second.overrides.end());
  return section;
}

std::uint64_t AnySeed() {
  std::random_device device;
  // Short enough to be typed.
  return device() % 1'000'000'000 + 1;
}

void SetShuffle(const TestOptions& merged, Settings& settings,
                std::vector<std::string>& errors) {
  const std::string& text = merged.shuffle;
  if (text.empty()) return;
  if (text == "random") {
    settings.shuffle = AnySeed();
    return;
  }
  // Targets get it as a number with a sign.
  std::int64_t seed = 0;
  const auto [end, failure] =
      std::from_chars(text.data(), text.data() + text.size(), seed);
  if (failure != std::errc() || end != text.data() + text.size() || seed < 0) {
    errors.push_back("--shuffle: '" + text +
                     "' is neither a number nor \"random\"");
    return;
  }
  settings.shuffle = static_cast<std::uint64_t>(seed);
}

void SetFromWords(const TestOptions& merged, Settings& settings,
                  std::vector<std::string>& errors) {
  const auto one_of = [&](const char* option, const std::string& word,
                          const std::vector<std::string>& known) {
    if (word.empty()) return std::size_t{0};
    const auto found = std::find(known.begin(), known.end(), word);
    if (found != known.end()) {
      return static_cast<std::size_t>(found - known.begin());
    }
    std::string all;
    for (const std::string& each : known) {
      all += (all.empty() ? "" : ", ") + each;
    }
    errors.push_back(std::string(option) + ": '" + word + "' is none of " +
                     all);
    return std::size_t{0};
  };
  settings.isolate = static_cast<Isolation>(
      one_of("--isolate", merged.isolate, {"test", "suite", "file"}));
  settings.leaks = static_cast<LeakPolicy>(
      one_of("--leaks", merged.leaks, {"fail", "warn", "off"}));
  one_of("--rerun", merged.rerun, {"failed"});
  one_of("--debugger", merged.debugger, {"gdb"});
  one_of("--framework", merged.framework,
         {"doctest", "gtest", "catch2", "program", "unittest", "pytest"});
}

void SetPartition(const TestOptions& merged, Settings& settings,
                  std::vector<std::string>& errors) {
  if (!merged.partition.empty()) {
    auto partition = ParsePartition(merged.partition);
    if (partition) {
      settings.partition = *partition;
    } else {
      errors.push_back("--partition: " + partition.error().message + "; " +
                       partition.error().hint);
    }
    return;
  }
  auto partition = PartitionOfEnvironment();
  if (partition) {
    settings.partition = *partition;
  } else {
    errors.push_back(partition.error().message + "; " + partition.error().hint);
  }
}

void CheckTogether(const TestOptions& merged,
                   std::vector<std::string>& errors) {
  const auto exclude = [&](bool one, bool other, const char* what) {
    if (one && other) errors.push_back(what);
  };
  const bool debug = !merged.debug.empty();
  exclude(merged.repeat.value_or(1) > 1, merged.stress.has_value(),
          "--repeat and --stress exclude each other");
  exclude(debug, merged.list, "--debug and --list exclude each other");
  exclude(debug, merged.stress.has_value() || merged.repeat.value_or(1) > 1,
          "--debug runs one test once: it excludes --repeat and --stress");
  exclude(!merged.debugger.empty(), !debug, "--debugger needs --debug TEST");
  exclude(merged.stress && merged.stress->count() == 0, true,
          "--stress needs a time that is not 0");
  if (merged.targets.empty()) {
    errors.push_back(
        "which target? Name a test program, or a Python file or folder of "
        "tests, or set 'targets' in forkserver.toml");
  }
}

template <typename T>
void SetFirst(std::optional<T>& target, const std::optional<T>& value) {
  if (!target) target = value;
}

}  // namespace

SettingsOutcome MakeSettings(const TestOptions& options,
                             const std::string& cwd) {
  SettingsOutcome outcome;
  Settings& settings = outcome.settings;
  std::vector<std::string>& errors = outcome.errors;
  const SettingsSection section = ReadSections(options, cwd, settings, errors);
  TestOptions merged = section.options;
  Overlay(merged, options);

  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  settings.jobs = merged.jobs.value_or(std::max(cores, 1));
  if (merged.fail_fast.value_or(false)) {
    settings.max_fail = 1;
    settings.max_fail_asked_by = "--fail-fast";
  } else if (merged.max_fail) {
    settings.max_fail = *merged.max_fail;
    settings.max_fail_asked_by = "--max-fail";
  }
  settings.repeat = merged.repeat.value_or(1);
  settings.stress = merged.stress.value_or(milliseconds(0));
  settings.capture = merged.capture.value_or(true);
  SetShuffle(merged, settings, errors);
  SetFromWords(merged, settings, errors);
  SetPartition(merged, settings, errors);
  auto selection = Selection::Parse(merged.filters);
  if (selection) {
    settings.selection = *std::move(selection);
  } else {
    errors.push_back(selection.error().message);
  }
  CheckTogether(merged, errors);

  settings.command_line = RulesOf(options);
  settings.overrides = section.overrides;
  settings.defaults.timeout = section.options.timeout.value_or(kTimeout);
  settings.defaults.slow_after =
      section.options.slow_after.value_or(kSlowAfter);
  settings.defaults.grace = section.options.grace.value_or(kGrace);
  settings.defaults.retries = section.options.retries.value_or(0);
  settings.defaults.retry_delay =
      section.options.retry_delay.value_or(kRetryDelay);
  settings.options = std::move(merged);
  return outcome;
}

Rules Settings::RulesFor(const TestCase& test) const {
  PartialRules said = command_line;
  for (const Override& each : overrides) {
    if (!each.filter.Matches(test)) continue;
    SetFirst(said.timeout, each.rules.timeout);
    SetFirst(said.slow_after, each.rules.slow_after);
    SetFirst(said.grace, each.rules.grace);
    SetFirst(said.retries, each.rules.retries);
    SetFirst(said.retry_delay, each.rules.retry_delay);
    SetFirst(said.slots, each.rules.slots);
    // A test can need several, of several overrides.
    said.mutexes.insert(said.mutexes.end(), each.rules.mutexes.begin(),
                        each.rules.mutexes.end());
    if (said.group.empty()) said.group = each.rules.group;
  }
  Rules rules;
  rules.timeout = said.timeout.value_or(defaults.timeout);
  rules.slow_after = said.slow_after.value_or(defaults.slow_after);
  rules.grace = said.grace.value_or(defaults.grace);
  rules.retries = said.retries.value_or(defaults.retries);
  rules.retry_delay = said.retry_delay.value_or(defaults.retry_delay);
  rules.needs.slots = said.slots.value_or(1);
  rules.needs.mutexes = std::move(said.mutexes);
  rules.needs.group = said.group;
  for (const auto& [name, limit] : groups) {
    if (name == said.group) rules.needs.group_limit = limit;
  }
  return rules;
}

}  // namespace forkserver::harness
