#include "tools/project/project_file.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "tools/project/order.h"
#include "tools/project/value_readers.h"

namespace forkserver::project {
namespace {

constexpr std::size_t kMostNameBytes = 64;
constexpr std::int64_t kMostEntryDeadlineMs = 3'600'000;

// What programs expect to find, and what does not differ from one terminal to
// the next: a `reload` in another one must not restart everything.
const std::vector<std::string>& InheritedByDefault() {
  static const auto* const kNames = new std::vector<std::string>{
      "HOME",  "LANG", "LANGUAGE", "LC_*",   "LOGNAME",        "PATH",
      "SHELL", "TZ",   "USER",     "TMPDIR", "XDG_RUNTIME_DIR"};
  return *kNames;
}

// What a shell changes by itself, and what forkserverd told another service.
bool IsNeverInherited(std::string_view name) {
  for (const std::string_view each :
       {"_", "SHLVL", "PWD", "OLDPWD", "FORKSERVER_WORKER",
        "FORKSERVER_SERVICE", "NOTIFY_SOCKET", "WATCHDOG_USEC",
        "WATCHDOG_PID"}) {
    if (name == each) return true;
  }
  return false;
}

bool Matches(std::string_view name, std::string_view pattern) {
  if (pattern.empty() || pattern.back() != '*') return name == pattern;
  pattern.remove_suffix(1);
  return name.substr(0, pattern.size()) == pattern;
}

// It is part of file names; the daemon has the same rule.
bool IsGoodServiceName(const std::string& name) {
  constexpr std::string_view kGood =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.@:";
  return !name.empty() && name.size() <= kMostNameBytes && name[0] != '.' &&
         name[0] != '-' && name.find_first_not_of(kGood) == name.npos;
}

std::string Join(const std::vector<std::string>& words, const char* between) {
  std::string text;
  for (const std::string& word : words) {
    text += (text.empty() ? "" : between) + word;
  }
  return text;
}

Read Inherited(std::optional<std::vector<std::string>>& target) {
  return [&target](const TomlValue& value, const std::string& key,
                   Problems& problems) {
    std::vector<std::string> names;
    Texts(names)(value, key, problems);
    for (const std::string& name : names) {
      if (name.empty() || name.find('=') != name.npos ||
          name.find('*') < name.size() - 1) {
        problems.Add(value.line, key,
                     "'" + name +
                         "' is neither the name of a variable nor the "
                         "beginning of one and '*'");
      }
    }
    target = std::move(names);
  };
}

class Reader {
 public:
  Reader(const std::string& path, const std::string& shown,
         const std::vector<std::string>& environment)
      : environment_(environment), problems_(shown) {
    project_.file = path;
    project_.root = path.substr(0, path.rfind('/'));
  }

  ProjectOutcome Make(const TomlFile& toml) {
    if (toml.root) {
      ReadRoot(*toml.root);
    } else {
      problems_.Add(toml.error_line, "", toml.error);
    }
    return {std::move(project_), problems_.Take()};
  }

 private:
  // What zygotes and services have in common.
  struct OwnEnvironment {
    std::vector<std::string> variables;
    std::optional<std::vector<std::string>> inherited;
  };

  void ReadRoot(const TomlValue& root) {
    const TomlValue* zygotes = nullptr;
    const TomlValue* services = nullptr;
    const auto remember = [](const TomlValue*& where) -> Read {
      return [&where](const TomlValue& value, const std::string& key,
                      Problems& problems) {
        if (ExpectTable(value, key, problems)) where = &value;
      };
    };
    ReadTable(
        root, "",
        {{"inherit", Inherited(common_.inherited)},
         {"environment", Variables(common_.variables)},
         {"zygotes", remember(zygotes)},
         {"services", remember(services)},
         // tools/harness reads it.
         {"test", [](const TomlValue&, const std::string&, Problems&) {}}},
        problems_);
    if (zygotes != nullptr) {
      for (const TomlEntry& entry : zygotes->table) ReadZygote(entry);
    }
    if (services != nullptr) {
      for (const TomlEntry& entry : services->table) ReadService(entry);
    }
    CheckZygotes();
    CheckServices();
  }

  std::vector<KnownKey> ProcessKeys(ProcessOptions& process,
                                    OwnEnvironment& environment,
                                    bool& session) {
    return {
        {"cwd", Text(process.cwd)},
        {"environment", Variables(environment.variables)},
        {"inherit", Inherited(environment.inherited)},
        {"umask", Umask(process.umask)},
        {"limit", Limits(process.limits)},
        {"nice", Number(process.nice, -20, 19)},
        {"cpus", Cpus(process.cpus)},
        {"io-priority", DiskPriority(process.io_priority)},
        {"oom-score-adj", Number(process.oom_score_adj, -1000, 1000)},
        {"no-new-privs", Flag(process.no_new_privs)},
        {"session", Flag(session)},
    };
  }

  void CompleteProcess(ProcessOptions& process, const OwnEnvironment& own,
                       bool session) const {
    process.env = MakeEnvironment(own);
    if (!process.cwd || *process.cwd == ".") {
      process.cwd = project_.root.empty() ? "/" : project_.root;
    } else if (process.cwd->front() != '/') {
      process.cwd = project_.root + "/" + *process.cwd;
    }
    if (session) process.group = GroupKind::kSession;
  }

  // Sorted, so that the order of the caller's is no change.
  std::vector<std::string> MakeEnvironment(const OwnEnvironment& own) const {
    std::map<std::string, std::string> all;  // by name
    const auto set = [&all](const std::string& variable) {
      all[variable.substr(0, variable.find('='))] = variable;
    };
    const std::vector<std::string>& patterns = own.inherited ? *own.inherited
                                               : common_.inherited
                                                   ? *common_.inherited
                                                   : InheritedByDefault();
    for (const std::string& variable : environment_) {
      const std::string name = variable.substr(0, variable.find('='));
      const bool wanted = std::any_of(
          patterns.begin(), patterns.end(),
          [&](const std::string& pattern) { return Matches(name, pattern); });
      if (wanted && !IsNeverInherited(name)) set(variable);
    }
    for (const std::string& variable : common_.variables) set(variable);
    for (const std::string& variable : own.variables) set(variable);
    std::vector<std::string> environment;
    environment.reserve(all.size());
    for (const auto& [name, variable] : all) environment.push_back(variable);
    return environment;
  }

  void ReadZygote(const TomlEntry& entry) {
    const std::string key = "zygotes." + entry.key;
    if (!ExpectTable(entry.value, key, problems_)) return;
    if (entry.key.empty() || entry.key.size() > kMostNameBytes) {
      problems_.Add(entry.line, key, "a name has 1 to 64 bytes");
    }
    ZygoteEntry& zygote = project_.zygotes.emplace_back();
    zygote.line = entry.line;
    zygote.parent_line = LineOf(entry, "parent");
    ZygoteOptions& options = zygote.options;
    options.name = entry.key;
    options.project = project_.file;
    options.keep = true;
    OwnEnvironment own;
    bool session = false;
    std::vector<KnownKey> keys = ProcessKeys(options, own, session);
    keys.insert(keys.end(),
                {{"command", Command(options.argv)},
                 {"parent", Text(options.parent)},
                 {"preload", Texts(options.preload)},
                 {"audit", Audited(options.audit_policy)},
                 {"spares", Spares(options.spares_min, options.spares_max)},
                 {"entry-deadline", Duration(options.entry_deadline)},
                 {"grace", Duration(options.grace)}});
    ReadTable(entry.value, key + ".", keys, problems_);
    if (options.entry_deadline.count() < 1 ||
        options.entry_deadline.count() > kMostEntryDeadlineMs) {
      problems_.Add(LineOf(entry, "entry-deadline"), key + ".entry-deadline",
                    "it must be from 1ms to 1h");
    }
    RequireOne(entry, key, "command", "parent",
               "it needs a 'command', or a 'parent' to be forked from");
    CompleteProcess(options, own, session);
  }

  void ReadService(const TomlEntry& entry) {
    const std::string key = "services." + entry.key;
    if (!ExpectTable(entry.value, key, problems_)) return;
    if (!IsGoodServiceName(entry.key)) {
      problems_.Add(entry.line, key,
                    "'" + entry.key +
                        "' cannot be the name of a service: it has 1 to 64 of "
                        "the letters a-z, A-Z, 0-9, _ - . @ : and does not "
                        "begin with - or .");
    }
    ServiceEntry& service = project_.services.emplace_back();
    service.line = entry.line;
    service.after_line = LineOf(entry, "after");
    service.zygote_line = LineOf(entry, "zygote");
    ServiceOptions& options = service.options;
    options.name = entry.key;
    options.project = project_.file;
    OwnEnvironment own;
    bool session = false;
    std::vector<std::string> arguments;
    std::vector<KnownKey> keys = ProcessKeys(options, own, session);
    keys.insert(keys.end(), {{"command", Command(options.argv)},
                             {"zygote", Text(options.zygote)},
                             {"entry", Text(options.entry)},
                             {"args", AnyText(options.args)},
                             {"arguments", Texts(arguments)}});
    const std::vector<KnownKey> kept = PolicyKeys(options.policy);
    keys.insert(keys.end(), kept.begin(), kept.end());
    ReadTable(entry.value, key + ".", keys, problems_);
    CheckService(entry, key, options);
    if (!options.zygote.empty()) options.argv = std::move(arguments);
    CompleteProcess(options, own, session);
  }

  static std::vector<KnownKey> PolicyKeys(ServicePolicy& policy) {
    return {
        {"after", Texts(policy.after)},
        {"restart", Restart(policy.restart)},
        {"backoff", Duration(policy.backoff_initial_ms)},
        {"backoff-factor", Number(policy.backoff_factor, 1, 1000)},
        {"backoff-max", Duration(policy.backoff_max_ms)},
        {"backoff-jitter", Number(policy.backoff_jitter_percent, 0, 100)},
        {"reset-after", Duration(policy.reset_after_ms)},
        {"start-limit", Number(policy.start_limit, 0, 1'000'000)},
        {"success-exit-codes", ExitCodes(policy.success_exit_codes)},
        {"ready", Ready(policy)},
        {"ready-timeout", Duration(policy.ready_timeout_ms)},
        {"watchdog", Duration(policy.watchdog_ms)},
        {"stop-signal", Signal(policy.stop_signal)},
        {"grace", Duration(policy.grace_ms)},
        {"timeout", Duration(policy.timeout_ms)},
        {"log-size", Size(policy.log_max_bytes)},
        {"log-files", Number(policy.log_files, 1, 1000)},
        {"log-drop", Flag(policy.log_drop)},
        {"pty", Flag(policy.pty)},
        {"detach", Flag(policy.detach)},
        {"memory-max", Size(policy.cgroup.memory_max_bytes)},
        {"tasks-max", Number(policy.cgroup.tasks_max, 1, 1'000'000'000)},
        {"cpu-max", CpuShare(policy.cgroup.cpu_max_percent)},
    };
  }

  static int LineOf(const TomlEntry& entry, const std::string& key) {
    const TomlValue* const value = entry.value.Find(key);
    return value != nullptr ? value->line : entry.line;
  }

  // One of two keys, and not both.
  void RequireOne(const TomlEntry& entry, const std::string& key,
                  const std::string& first, const std::string& second,
                  const std::string& missing) {
    const bool has_first = entry.value.Find(first) != nullptr;
    const bool has_second = entry.value.Find(second) != nullptr;
    if (!has_first && !has_second) problems_.Add(entry.line, key, missing);
    if (has_first && has_second) {
      problems_.Add(LineOf(entry, second), key,
                    "it has both '" + first + "' and '" + second +
                        "': take one of them away");
    }
  }

  void CheckService(const TomlEntry& entry, const std::string& key,
                    const ServiceOptions& options) {
    RequireOne(entry, key, "command", "zygote",
               "it needs a 'command', or a 'zygote' to be forked from");
    if (entry.value.Find("zygote") == nullptr) {
      for (const char* const each : {"entry", "args", "arguments"}) {
        if (entry.value.Find(each) == nullptr) continue;
        problems_.Add(LineOf(entry, each), key + "." + each,
                      "it means nothing without 'zygote'");
      }
    }
    const ServicePolicy& policy = options.policy;
    if (policy.ready == ReadyKind::kLine && policy.log_max_bytes == 0) {
      problems_.Add(LineOf(entry, "log-size"), key + ".log-size",
                    "'ready' looks for a line in the log, so that it must not "
                    "be 0");
    }
  }

  void CheckZygotes() {
    std::vector<Needing> things;
    std::vector<std::string> names;
    for (const ZygoteEntry& zygote : project_.zygotes) {
      names.push_back(zygote.options.name);
      things.push_back({zygote.options.name, {}});
      if (!zygote.options.parent.empty()) {
        things.back().needs = {zygote.options.parent};
      }
    }
    for (const ZygoteEntry& zygote : project_.zygotes) {
      CheckKnown(zygote.parent_line,
                 "zygotes." + zygote.options.name + ".parent",
                 zygote.options.parent, names);
    }
    const Order order = SortByNeed(things);
    std::vector<ZygoteEntry> sorted;
    for (const std::size_t i : order.order) {
      sorted.push_back(std::move(project_.zygotes[i]));
    }
    project_.zygotes = std::move(sorted);
    if (order.cycle.empty()) return;
    for (const ZygoteEntry& zygote : project_.zygotes) {
      if (zygote.options.name != order.cycle[0]) continue;
      problems_.Add(
          zygote.parent_line, "zygotes." + zygote.options.name + ".parent",
          "it would be forked from itself: " + Join(order.cycle, " from "));
    }
  }

  // A zygote by its name.
  void CheckKnown(int line, const std::string& key, const std::string& name,
                  const std::vector<std::string>& zygotes) {
    if (name.empty() ||
        std::find(zygotes.begin(), zygotes.end(), name) != zygotes.end()) {
      return;
    }
    problems_.Add(line, key,
                  "there is no zygote '" + name + "' in this file" +
                      DidYouMean(name, zygotes));
  }

  void CheckServices() {
    std::vector<Needing> things;
    std::vector<std::string> names;
    std::vector<std::string> zygotes;
    for (const ZygoteEntry& zygote : project_.zygotes) {
      zygotes.push_back(zygote.options.name);
    }
    for (const ServiceEntry& service : project_.services) {
      names.push_back(service.options.name);
      things.push_back({service.options.name, service.options.policy.after});
    }
    const auto has = [](const std::vector<std::string>& words,
                        const std::string& word) {
      return std::find(words.begin(), words.end(), word) != words.end();
    };
    for (const ServiceEntry& service : project_.services) {
      const std::string key = "services." + service.options.name;
      CheckKnown(service.zygote_line, key + ".zygote", service.options.zygote,
                 zygotes);
      for (const std::string& name : service.options.policy.after) {
        if (has(names, name)) continue;
        problems_.Add(
            service.after_line, key + ".after",
            has(zygotes, name)
                ? "'" + name + "' is a zygote, not a service: those start first"
                : "there is no service '" + name + "' in this file" +
                      DidYouMean(name, names));
      }
    }
    const Order order = SortByNeed(things);
    std::vector<ServiceEntry> sorted;
    for (const std::size_t i : order.order) {
      sorted.push_back(std::move(project_.services[i]));
    }
    project_.services = std::move(sorted);
    if (order.cycle.empty()) return;
    for (const ServiceEntry& service : project_.services) {
      if (service.options.name != order.cycle[0]) continue;
      problems_.Add(
          service.after_line, "services." + service.options.name + ".after",
          "it would be after itself: " + Join(order.cycle, " after "));
    }
  }

  const std::vector<std::string>& environment_;
  Project project_;
  OwnEnvironment common_;
  Problems problems_;
};

}  // namespace

ProjectOutcome MakeProject(const TomlFile& toml, const std::string& path,
                           const std::string& shown,
                           const std::vector<std::string>& environment) {
  return Reader(path, shown, environment).Make(toml);
}

}  // namespace forkserver::project
