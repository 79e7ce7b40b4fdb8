#include "tools/project/value_readers.h"

#include <regex.h>

#include <algorithm>
#include <limits>

#include "sdk/process/platform.h"
#include "tools/forkserver/values.h"

namespace forkserver::project {
namespace {

bool HasNul(const std::string& text) {
  return text.find('\0') != std::string::npos;
}

// The text, or nothing and a problem.
std::optional<std::string> TextOf(const TomlValue& value,
                                  const std::string& key, Problems& problems) {
  if (!value.IsText()) {
    // What somebody writes who thinks of it as a number.
    const std::string quoted =
        value.IsNumber() ? ": \"" + std::to_string(value.number) + "\""
        : value.IsFlag()
            ? std::string(": \"") + (value.flag ? "true" : "false") + "\""
            : "";
    problems.Add(value.line, key, "it must be a text in quotes" + quoted);
    return std::nullopt;
  }
  if (HasNul(value.text)) {
    problems.Add(value.line, key, "it holds a NUL byte");
    return std::nullopt;
  }
  return value.text;
}

// A text or a whole number, as it would be typed on a command line.
template <typename Parse, typename Store>
Read Parsed(const char* expected, Parse parse, Store store) {
  return
      [=](const TomlValue& value, const std::string& key, Problems& problems) {
        if (!value.IsText() && !value.IsNumber()) {
          problems.Add(value.line, key, std::string("it must be ") + expected);
          return;
        }
        auto parsed =
            parse(value.IsText() ? value.text : std::to_string(value.number));
        if (parsed) {
          store(*std::move(parsed));
        } else {
          problems.Add(value.line, key, parsed.error().message);
        }
      };
}

template <typename T>
Read Choice(T& target, const std::vector<T>& choices) {
  return [&target, choices](const TomlValue& value, const std::string& key,
                            Problems& problems) {
    const auto text = TextOf(value, key, problems);
    if (!text) return;
    std::string all;
    for (const T choice : choices) {
      if (*text == NameOf(choice)) {
        target = choice;
        return;
      }
      all += (all.empty() ? "" : ", ") + std::string(NameOf(choice));
    }
    problems.Add(value.line, key, "'" + *text + "' is none of " + all);
  };
}

// What regcomp(3) says against it, or empty.
std::string CheckRegex(const std::string& pattern) {
  regex_t compiled = {};
  const int wrong =
      ::regcomp(&compiled, pattern.c_str(), REG_EXTENDED | REG_NOSUB);
  if (wrong == 0) {
    ::regfree(&compiled);
    return {};
  }
  char text[256];
  ::regerror(wrong, &compiled, text, sizeof(text));
  return text;
}

}  // namespace

void ReadTable(const TomlValue& table, const std::string& prefix,
               const std::vector<KnownKey>& known, Problems& problems) {
  for (const TomlEntry& entry : table.table) {
    const std::string key = prefix + entry.key;
    const auto found = std::find_if(
        known.begin(), known.end(),
        [&](const KnownKey& each) { return each.name == entry.key; });
    if (found != known.end()) {
      found->read(entry.value, key, problems);
      continue;
    }
    std::vector<std::string> names;
    names.reserve(known.size());
    for (const KnownKey& each : known) names.push_back(each.name);
    problems.AddUnknownKey(entry, key, names);
  }
}

bool ExpectTable(const TomlValue& value, const std::string& key,
                 Problems& problems) {
  if (value.IsTable()) return true;
  problems.Add(value.line, key, "it must be a table: [" + key + "]");
  return false;
}

Read AnyText(std::string& target) {
  return [&target](const TomlValue& value, const std::string& key,
                   Problems& problems) {
    if (auto text = TextOf(value, key, problems)) target = *std::move(text);
  };
}

Read Text(std::string& target) {
  return [&target](const TomlValue& value, const std::string& key,
                   Problems& problems) {
    auto text = TextOf(value, key, problems);
    if (text && text->empty()) {
      problems.Add(value.line, key, "it must not be empty");
    } else if (text) {
      target = *std::move(text);
    }
  };
}

Read Text(std::optional<std::string>& target) {
  return [&target](const TomlValue& value, const std::string& key,
                   Problems& problems) {
    std::string text;
    Text(text)(value, key, problems);
    if (!text.empty()) target = std::move(text);
  };
}

Read Texts(std::vector<std::string>& target) {
  return [&target](const TomlValue& value, const std::string& key,
                   Problems& problems) {
    target.clear();
    if (!value.IsText() && !value.IsList()) {
      problems.Add(value.line, key, "it must be a list of texts: [\"...\"]");
      return;
    }
    if (value.IsText()) {
      if (auto text = TextOf(value, key, problems)) target = {*text};
      return;
    }
    for (const TomlValue& each : value.list) {
      auto text = TextOf(each, key, problems);
      if (text) target.push_back(*std::move(text));
    }
  };
}

Read Flag(bool& target) {
  return [&target](const TomlValue& value, const std::string& key,
                   Problems& problems) {
    if (value.IsFlag()) {
      target = value.flag;
    } else {
      problems.Add(value.line, key, "it must be true or false, without quotes");
    }
  };
}

Read Number(std::int64_t& target, std::int64_t from, std::int64_t to) {
  return [&target, from, to](const TomlValue& value, const std::string& key,
                             Problems& problems) {
    if (value.IsNumber() && value.number >= from && value.number <= to) {
      target = value.number;
      return;
    }
    problems.Add(value.line, key,
                 "it must be a whole number from " + std::to_string(from) +
                     " to " + std::to_string(to));
  };
}

Read Number(std::optional<int>& target, int from, int to) {
  return [&target, from, to](const TomlValue& value, const std::string& key,
                             Problems& problems) {
    const std::int64_t none = std::int64_t{to} + 1;
    std::int64_t number = none;
    Number(number, from, to)(value, key, problems);
    if (number != none) target = static_cast<int>(number);
  };
}

Read Cpus(std::vector<int>& target) {
  return Parsed("the number of a CPU, or a list such as \"0-3,7\"",
                cli::ParseCpus,
                [&target](std::vector<int> cpus) { target = std::move(cpus); });
}

Read DiskPriority(std::optional<IoPriority>& target) {
  return Parsed("\"idle\", \"best-effort:7\" or \"realtime:0\"",
                cli::ParseIoPriority,
                [&target](IoPriority priority) { target = priority; });
}

Read Duration(std::int64_t& target_ms) {
  return Parsed(
      "a duration such as \"2s\", \"500ms\", \"1m\" or a number of "
      "seconds",
      cli::ParseDuration, [&target_ms](std::chrono::milliseconds duration) {
        target_ms = duration.count();
      });
}

Read Duration(std::chrono::milliseconds& target) {
  return Parsed(
      "a duration such as \"2s\", \"500ms\", \"1m\" or a number of "
      "seconds",
      cli::ParseDuration,
      [&target](std::chrono::milliseconds duration) { target = duration; });
}

Read Size(std::int64_t& target_bytes) {
  return Parsed("a number of bytes such as 4096, \"64K\" or \"10M\"",
                cli::ParseSize,
                [&target_bytes](std::int64_t bytes) { target_bytes = bytes; });
}

Read CpuShare(std::int64_t& target_percent) {
  return Parsed(
      "processor time such as \"50%\" or 2 (CPUs)", cli::ParseCpuShare,
      [&target_percent](std::int64_t percent) { target_percent = percent; });
}

Read Signal(std::int64_t& target) {
  const auto parse = [](const std::string& text) -> Result<int> {
    auto signal = cli::ParseSignal(text);
    if (!signal || *signal != 0) return signal;
    return MakeError(error_code::kBadRequest, "signal 0 stops nothing");
  };
  return Parsed("a signal such as \"TERM\" or 15", parse,
                [&target](int signal) { target = signal; });
}

Read Umask(std::optional<int>& target) {
  return [&target](const TomlValue& value, const std::string& key,
                   Problems& problems) {
    // 22 would be 026, and 022 is no TOML.
    if (!value.IsText()) {
      problems.Add(value.line, key,
                   "it must be an octal mask in quotes, such as \"022\"");
      return;
    }
    Parsed("", cli::ParseUmask, [&target](int mask) { target = mask; })(
        value, key, problems);
  };
}

Read Limits(ResourceLimits& target) {
  return [&target](const TomlValue& value, const std::string& key,
                   Problems& problems) {
    if (!value.IsTable()) {
      problems.Add(value.line, key, "it must be a table: { nofile = 256 }");
      return;
    }
    for (const TomlEntry& entry : value.table) {
      const std::string whole = key + "." + entry.key;
      if (LimitByName(entry.key) < 0) {
        problems.Add(entry.line, whole,
                     "this system has no such limit" +
                         DidYouMean(entry.key, LimitNames()));
        continue;
      }
      const auto parse = [&](const std::string& text) {
        return cli::ParseLimit(entry.key + "=" + text);
      };
      Parsed("a number, \"256:1024\", \"2G\" or \"unlimited\"", parse,
             [&target](const std::pair<std::string, ResourceLimit>& limit) {
               target.insert_or_assign(limit.first, limit.second);
             })(entry.value, whole, problems);
    }
  };
}

Read ExitCodes(std::vector<std::int64_t>& target) {
  return [&target](const TomlValue& value, const std::string& key,
                   Problems& problems) {
    target.clear();
    const std::vector<TomlValue> one = {value};
    for (const TomlValue& each : value.IsList() ? value.list : one) {
      std::int64_t code = -1;
      Number(code, 0, 255)(each, key, problems);
      if (code >= 0) target.push_back(code);
    }
  };
}

Read Spares(int& least, int& most) {
  return Parsed("MIN:MAX such as \"1:4\"", cli::ParseSpares,
                [&least, &most](std::pair<int, int> spares) {
                  least = spares.first;
                  most = spares.second;
                });
}

Read Restart(RestartPolicy& target) {
  return Choice(target, std::vector<RestartPolicy>{RestartPolicy::kNo,
                                                   RestartPolicy::kOnFailure,
                                                   RestartPolicy::kAlways});
}

Read Audited(AuditPolicy& target) {
  return Choice(
      target, std::vector<AuditPolicy>{AuditPolicy::kRefuse, AuditPolicy::kWarn,
                                       AuditPolicy::kAllow});
}

Read Ready(ServicePolicy& target) {
  return [&target](const TomlValue& value, const std::string& key,
                   Problems& problems) {
    const auto text = TextOf(value, key, problems);
    if (!text) return;
    auto check = cli::ParseReady(*text);
    if (!check) {
      problems.Add(value.line, key, check.error().message);
      return;
    }
    if (const std::string wrong = CheckRegex(check->line);
        check->kind == ReadyKind::kLine && !wrong.empty()) {
      problems.Add(
          value.line, key,
          "'" + check->line + "' is not a regular expression: " + wrong);
      return;
    }
    target.ready = check->kind;
    target.ready_fd = check->fd;
    target.ready_line = std::move(check->line);
    target.ready_command = std::move(check->command);
  };
}

Read Variables(std::vector<std::string>& target) {
  return [&target](const TomlValue& value, const std::string& key,
                   Problems& problems) {
    if (!value.IsTable()) {
      problems.Add(value.line, key, "it must be a table: { NAME = \"value\" }");
      return;
    }
    for (const TomlEntry& entry : value.table) {
      const std::string whole = key + "." + entry.key;
      if (entry.key.empty() || HasNul(entry.key) ||
          entry.key.find('=') != std::string::npos) {
        problems.Add(entry.line, whole,
                     "'" + entry.key + "' cannot be the name of a variable");
        continue;
      }
      const auto text = TextOf(entry.value, whole, problems);
      if (text) target.push_back(entry.key + "=" + *text);
    }
  };
}

Read Command(std::vector<std::string>& target) {
  return [&target](const TomlValue& value, const std::string& key,
                   Problems& problems) {
    if (value.IsList() &&
        (value.list.empty() ||
         (value.list[0].IsText() && value.list[0].text.empty()))) {
      problems.Add(value.line, key, "it names no program");
      return;
    }
    if (value.IsText()) {
      std::string text;
      Text(text)(value, key, problems);
      if (!text.empty()) target = {"/bin/sh", "-c", std::move(text)};
      return;
    }
    if (!value.IsList()) {
      problems.Add(value.line, key,
                   "it must be a list, [\"program\", \"argument\"], or a text "
                   "for the shell");
      return;
    }
    Texts(target)(value, key, problems);
  };
}

}  // namespace forkserver::project
