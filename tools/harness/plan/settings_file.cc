#include "tools/harness/plan/settings_file.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>

#include "tools/forkserver/values.h"
#include "tools/toml/nearest_word.h"
#include "tools/toml/toml_file.h"

namespace forkserver::harness {
namespace {

using std::chrono::milliseconds;

class Reader {
 public:
  Reader(std::string path, std::vector<std::string>& errors)
      : path_(std::move(path)), errors_(errors) {}

  SettingsFile Read() {
    SettingsFile file;
    file.path = path_;
    const TomlFile parsed = ReadTomlFile(path_);
    if (!parsed.root) {
      errors_.push_back(Place(parsed.error_line) + parsed.error);
      return file;
    }
    Handlers handlers = {{"test", [&](const TomlValue& node) {
                            if (const TomlValue* table =
                                    AsTable(node, "test")) {
                              ReadTest(*table, file);
                            }
                          }}};
    // tools/project reads these.
    for (const char* key : {"inherit", "environment", "zygotes", "services"}) {
      handlers.emplace_back(key, [](const TomlValue&) {});
    }
    ReadTable(*parsed.root, "", handlers);
    CheckGroups(file);
    // Tables have an order of their own.
    std::stable_sort(
        found_.begin(), found_.end(),
        [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& [line, text] : found_) errors_.push_back(text);
    return file;
  }

 private:
  using Handler = std::function<void(const TomlValue&)>;
  using Handlers = std::vector<std::pair<std::string, Handler>>;

  std::string Place(int line) const {
    return path_ + ":" + std::to_string(line) + ": ";
  }
  void Fail(int line, const std::string& what) {
    found_.emplace_back(line, Place(line) + what);
  }
  void Expect(const TomlValue& node, const std::string& key,
              const std::string& what) {
    Fail(node.line, "'" + key + "' must be " + what);
  }

  const TomlValue* AsTable(const TomlValue& node, const std::string& key) {
    if (node.IsTable()) return &node;
    Expect(node, key, "a table: [" + key + "]");
    return nullptr;
  }

  void ReadTable(const TomlValue& table, const std::string& prefix,
                 const Handlers& handlers) {
    for (const TomlEntry& entry : table.table) {
      const std::string& name = entry.key;
      const auto handler =
          std::find_if(handlers.begin(), handlers.end(),
                       [&](const auto& each) { return each.first == name; });
      if (handler != handlers.end()) {
        handler->second(entry.value);
        continue;
      }
      std::vector<std::string> known;
      for (const auto& each : handlers) known.push_back(each.first);
      const std::string nearest = NearestWord(name, known);
      Fail(entry.line,
           "unknown key '" + prefix + name + "'" +
               (nearest.empty() ? "" : "; did you mean '" + nearest + "'?"));
    }
  }

  // --- values ---

  Handler String(const std::string& key, std::string& target) {
    return [this, key, &target](const TomlValue& node) {
      if (node.IsText() && !node.text.empty()) {
        target = node.text;
      } else {
        Expect(node, key, "a text that is not empty");
      }
    };
  }
  Handler Choice(const std::string& key, std::string& target,
                 const std::vector<std::string>& choices) {
    return [this, key, &target, choices](const TomlValue& node) {
      if (node.IsText() && std::find(choices.begin(), choices.end(),
                                     node.text) != choices.end()) {
        target = node.text;
        return;
      }
      std::string all;
      for (const std::string& each : choices) {
        all += (all.empty() ? "\"" : ", \"") + each + "\"";
      }
      Expect(node, key, "one of " + all);
    };
  }
  Handler Strings(const std::string& key, std::vector<std::string>& target) {
    return [this, key, &target](const TomlValue& node) {
      if (node.IsText()) {
        target = {node.text};
        return;
      }
      target.clear();
      if (!node.IsList() || node.list.empty()) {
        return Expect(node, key, "a text, or a list of texts");
      }
      for (const TomlValue& each : node.list) {
        if (!each.IsText()) return Expect(each, key, "a list of texts");
        target.push_back(each.text);
      }
    };
  }
  Handler Number(const std::string& key, std::optional<int>& target,
                 std::int64_t least) {
    return [this, key, &target, least](const TomlValue& node) {
      constexpr std::int64_t kMost = 1'000'000;
      if (!node.IsNumber() || node.number < least || node.number > kMost) {
        return Expect(node, key,
                      "a whole number, at least " + std::to_string(least));
      }
      target = static_cast<int>(node.number);
    };
  }
  Handler Flag(const std::string& key, std::optional<bool>& target) {
    return [this, key, &target](const TomlValue& node) {
      if (!node.IsFlag()) return Expect(node, key, "true or false");
      target = node.flag;
    };
  }
  Handler Duration(const std::string& key,
                   std::optional<milliseconds>& target) {
    return [this, key, &target](const TomlValue& node) {
      const std::string text =
          node.IsNumber() ? std::to_string(node.number) : node.text;
      const auto duration = cli::ParseDuration(text);
      if (!duration) {
        return Expect(node, key,
                      "a duration such as \"30s\", \"500ms\" or \"2m\"");
      }
      target = *duration;
    };
  }

  // --- tables ---

  Handlers OptionHandlers(SettingsSection& section) {
    TestOptions& options = section.options;
    return {
        {"targets", Strings("targets", options.targets)},
        {"filters", Strings("filters", options.filters)},
        {"jobs", Number("jobs", options.jobs, 1)},
        {"timeout", Duration("timeout", options.timeout)},
        {"slow-after", Duration("slow-after", options.slow_after)},
        {"grace", Duration("grace", options.grace)},
        {"retries", Number("retries", options.retries, 0)},
        {"retry-delay", Duration("retry-delay", options.retry_delay)},
        {"fail-fast", Flag("fail-fast", options.fail_fast)},
        {"max-fail", Number("max-fail", options.max_fail, 1)},
        {"repeat", Number("repeat", options.repeat, 1)},
        {"isolate",
         Choice("isolate", options.isolate, {"test", "suite", "file"})},
        {"leaks", Choice("leaks", options.leaks, {"fail", "warn", "off"})},
        {"capture", Flag("capture", options.capture)},
        {"partition", String("partition", options.partition)},
        {"durations", String("durations", options.durations)},
        {"python", String("python", options.python)},
        {"preload", Strings("preload", options.preload)},
        {"arguments", Strings("arguments", options.arguments)},
        {"junit", String("junit", options.junit)},
        {"trace", String("trace", options.trace)},
        {"html", String("html", options.html)},
        {"color", Choice("color", options.color, {"auto", "always", "never"})},
        {"verbose", Flag("verbose", options.verbose)},
        {"override",
         [this, &section](const TomlValue& node) {
           ReadOverrides(node, section.overrides);
         }},
    };
  }

  void ReadTest(const TomlValue& table, SettingsFile& file) {
    Handlers handlers = OptionHandlers(file.test);
    handlers.emplace_back("profile", [&](const TomlValue& node) {
      const TomlValue* const profiles = AsTable(node, "test.profile.NAME");
      if (profiles == nullptr) return;
      for (const auto& [name, line, profile] : profiles->table) {
        const TomlValue* const section =
            AsTable(profile, "test.profile." + name);
        if (section == nullptr) continue;
        ReadTable(*section, "test.profile." + name + ".",
                  OptionHandlers(file.profiles[name]));
      }
    });
    handlers.emplace_back("group", [&](const TomlValue& node) {
      const TomlValue* const groups = AsTable(node, "test.group.NAME");
      if (groups == nullptr) return;
      for (const auto& [name, line, group] : groups->table) {
        const TomlValue* const values = AsTable(group, "test.group." + name);
        if (values == nullptr) continue;
        std::optional<int> slots;
        ReadTable(*values, "test.group." + name + ".",
                  {{"slots", Number("slots", slots, 1)}});
        if (!slots && values->table.empty()) {
          Fail(group.line, "the group '" + name + "' needs 'slots'");
        }
        file.groups[name] = slots.value_or(1);
      }
    });
    ReadTable(table, "test.", handlers);
  }

  void ReadOverrides(const TomlValue& node, std::vector<Override>& overrides) {
    if (!node.IsList() || node.list.empty() ||
        !std::all_of(node.list.begin(), node.list.end(),
                     [](const TomlValue& each) { return each.IsTable(); })) {
      return Expect(node, "override", "a list of tables: [[test.override]]");
    }
    for (const TomlValue& each : node.list) {
      Override override;
      PartialRules& rules = override.rules;
      std::vector<std::string> filters;
      std::string group;
      ReadTable(each, "test.override.",
                {
                    {"filter", Strings("filter", filters)},
                    {"timeout", Duration("timeout", rules.timeout)},
                    {"slow-after", Duration("slow-after", rules.slow_after)},
                    {"grace", Duration("grace", rules.grace)},
                    {"retries", Number("retries", rules.retries, 0)},
                    {"retry-delay", Duration("retry-delay", rules.retry_delay)},
                    {"mutex", Strings("mutex", rules.mutexes)},
                    {"slots", Number("slots", rules.slots, 1)},
                    {"group", String("group", rules.group)},
                });
      if (filters.empty()) {
        if (each.Find("filter") == nullptr) {
          Fail(each.line, "an override needs 'filter'");
        }
        continue;
      }
      auto selection = Selection::Parse(filters);
      if (!selection) {
        Fail(each.line, selection.error().message);
        continue;
      }
      override.filter = *std::move(selection);
      if (!rules.group.empty()) {
        wanted_groups_.emplace_back(rules.group, each.line);
      }
      overrides.push_back(std::move(override));
    }
  }

  void CheckGroups(const SettingsFile& file) {
    std::vector<std::string> known;
    for (const auto& [name, limit] : file.groups) known.push_back(name);
    for (const auto& [name, where] : wanted_groups_) {
      if (file.groups.count(name) != 0) continue;
      const std::string nearest = NearestWord(name, known);
      Fail(where, "there is no group '" + name + "'" +
                      (nearest.empty()
                           ? "; make it: [test.group." + name + "] slots = 2"
                           : "; did you mean '" + nearest + "'?"));
    }
  }

  std::string path_;
  std::vector<std::string>& errors_;
  std::vector<std::pair<int, std::string>> found_;  // by line
  std::vector<std::pair<std::string, int>> wanted_groups_;
};

}  // namespace

SettingsFile ReadSettingsFile(const std::string& path,
                              std::vector<std::string>& errors) {
  return Reader(path, errors).Read();
}

}  // namespace forkserver::harness
