#include "tools/harness/plan/settings_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>

#include "tools/forkserver/values.h"

// The only includer of toml++, which takes seconds to compile.
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

namespace forkserver::harness {
namespace {

using std::chrono::milliseconds;

constexpr char kFileName[] = "/forkserver.toml";

class Reader {
 public:
  Reader(std::string path, std::vector<std::string>& errors)
      : path_(std::move(path)), errors_(errors) {}

  SettingsFile Read() {
    SettingsFile file;
    file.path = path_;
    const toml::parse_result parsed = toml::parse_file(path_);
    if (!parsed) {
      const toml::parse_error& error = parsed.error();
      errors_.push_back(Place(error.source()) +
                        std::string(error.description()));
      return file;
    }
    ReadTable(parsed.table(), "",
              {{"test", [&](const toml::node& node) {
                  if (const toml::table* table = AsTable(node, "test")) {
                    ReadTest(*table, file);
                  }
                }}});
    CheckGroups(file);
    // Tables have an order of their own.
    std::stable_sort(
        found_.begin(), found_.end(),
        [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& [line, text] : found_) errors_.push_back(text);
    return file;
  }

 private:
  using Handler = std::function<void(const toml::node&)>;
  using Handlers = std::vector<std::pair<std::string, Handler>>;

  std::string Place(const toml::source_region& where) const {
    return path_ + ":" + std::to_string(where.begin.line) + ": ";
  }
  void Fail(const toml::source_region& where, const std::string& what) {
    found_.emplace_back(where.begin.line, Place(where) + what);
  }
  void Expect(const toml::node& node, const std::string& key,
              const std::string& what) {
    Fail(node.source(), "'" + key + "' must be " + what);
  }

  const toml::table* AsTable(const toml::node& node, const std::string& key) {
    if (!node.is_table()) Expect(node, key, "a table: [" + key + "]");
    return node.as_table();
  }

  void ReadTable(const toml::table& table, const std::string& prefix,
                 const Handlers& handlers) {
    for (const auto& [key, node] : table) {
      const std::string name(key.str());
      const auto handler =
          std::find_if(handlers.begin(), handlers.end(),
                       [&](const auto& each) { return each.first == name; });
      if (handler != handlers.end()) {
        handler->second(node);
        continue;
      }
      std::vector<std::string> known;
      for (const auto& each : handlers) known.push_back(each.first);
      const std::string nearest = NearestWord(name, known);
      Fail(key.source(),
           "unknown key '" + prefix + name + "'" +
               (nearest.empty() ? "" : "; did you mean '" + nearest + "'?"));
    }
  }

  // --- values ---

  Handler String(const std::string& key, std::string& target) {
    return [this, key, &target](const toml::node& node) {
      const auto value = node.value_exact<std::string>();
      if (value && !value->empty()) {
        target = *value;
      } else {
        Expect(node, key, "a text that is not empty");
      }
    };
  }
  Handler Choice(const std::string& key, std::string& target,
                 const std::vector<std::string>& choices) {
    return [this, key, &target, choices](const toml::node& node) {
      const auto value = node.value_exact<std::string>();
      if (value &&
          std::find(choices.begin(), choices.end(), *value) != choices.end()) {
        target = *value;
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
    return [this, key, &target](const toml::node& node) {
      if (const auto value = node.value_exact<std::string>()) {
        target = {*value};
        return;
      }
      target.clear();
      const toml::array* const array = node.as_array();
      if (array == nullptr || array->empty()) {
        return Expect(node, key, "a text, or a list of texts");
      }
      for (const toml::node& each : *array) {
        const auto value = each.value_exact<std::string>();
        if (!value) return Expect(each, key, "a list of texts");
        target.push_back(*value);
      }
    };
  }
  Handler Number(const std::string& key, std::optional<int>& target,
                 std::int64_t least) {
    return [this, key, &target, least](const toml::node& node) {
      constexpr std::int64_t kMost = 1'000'000;
      const auto value = node.value_exact<std::int64_t>();
      if (!value || *value < least || *value > kMost) {
        return Expect(node, key,
                      "a whole number, at least " + std::to_string(least));
      }
      target = static_cast<int>(*value);
    };
  }
  Handler Flag(const std::string& key, std::optional<bool>& target) {
    return [this, key, &target](const toml::node& node) {
      const auto value = node.value_exact<bool>();
      if (!value) return Expect(node, key, "true or false");
      target = *value;
    };
  }
  Handler Duration(const std::string& key,
                   std::optional<milliseconds>& target) {
    return [this, key, &target](const toml::node& node) {
      std::string text;
      if (const auto value = node.value_exact<std::string>()) text = *value;
      if (const auto value = node.value_exact<std::int64_t>()) {
        text = std::to_string(*value);
      }
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
         [this, &section](const toml::node& node) {
           ReadOverrides(node, section.overrides);
         }},
    };
  }

  void ReadTest(const toml::table& table, SettingsFile& file) {
    Handlers handlers = OptionHandlers(file.test);
    handlers.emplace_back("profile", [&](const toml::node& node) {
      const toml::table* const profiles = AsTable(node, "test.profile.NAME");
      if (profiles == nullptr) return;
      for (const auto& [key, profile] : *profiles) {
        const std::string name(key.str());
        const toml::table* const section =
            AsTable(profile, "test.profile." + name);
        if (section == nullptr) continue;
        ReadTable(*section, "test.profile." + name + ".",
                  OptionHandlers(file.profiles[name]));
      }
    });
    handlers.emplace_back("group", [&](const toml::node& node) {
      const toml::table* const groups = AsTable(node, "test.group.NAME");
      if (groups == nullptr) return;
      for (const auto& [key, group] : *groups) {
        const std::string name(key.str());
        const toml::table* const values = AsTable(group, "test.group." + name);
        if (values == nullptr) continue;
        std::optional<int> slots;
        ReadTable(*values, "test.group." + name + ".",
                  {{"slots", Number("slots", slots, 1)}});
        if (!slots && values->empty()) {
          Fail(group.source(), "the group '" + name + "' needs 'slots'");
        }
        file.groups[name] = slots.value_or(1);
      }
    });
    ReadTable(table, "test.", handlers);
  }

  void ReadOverrides(const toml::node& node, std::vector<Override>& overrides) {
    const toml::array* const array = node.as_array();
    if (array == nullptr || !array->is_homogeneous<toml::table>()) {
      return Expect(node, "override", "a list of tables: [[test.override]]");
    }
    for (const toml::node& each : *array) {
      Override override;
      PartialRules& rules = override.rules;
      std::vector<std::string> filters;
      std::string group;
      ReadTable(*each.as_table(), "test.override.",
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
        if (!each.as_table()->contains("filter")) {
          Fail(each.source(), "an override needs 'filter'");
        }
        continue;
      }
      auto selection = Selection::Parse(filters);
      if (!selection) {
        Fail(each.source(), selection.error().message);
        continue;
      }
      override.filter = *std::move(selection);
      if (!rules.group.empty()) {
        wanted_groups_.emplace_back(rules.group, each.source());
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
  std::vector<std::pair<std::uint32_t, std::string>> found_;  // by line
  std::vector<std::pair<std::string, toml::source_region>> wanted_groups_;
};

std::size_t EditDistance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1,
                         diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

SettingsFile ReadSettingsFile(const std::string& path,
                              std::vector<std::string>& errors) {
  return Reader(path, errors).Read();
}

std::string FindSettingsFile(const std::string& folder) {
  std::string at = folder;
  for (;;) {
    struct stat info = {};
    std::string path = at + kFileName;
    if (::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode)) return path;
    const std::size_t slash = at.rfind('/');
    if (slash == std::string::npos || at.empty()) return {};
    at.resize(slash);
  }
}

std::string NearestWord(const std::string& word,
                        const std::vector<std::string>& known) {
  std::string nearest;
  std::size_t best = word.size() / 3 + 2;  // more is another word
  for (const std::string& each : known) {
    const std::size_t distance = EditDistance(word, each);
    if (distance < best) {
      best = distance;
      nearest = each;
    }
  }
  return nearest;
}

}  // namespace forkserver::harness
