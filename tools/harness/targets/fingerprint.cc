#include "tools/harness/targets/fingerprint.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <utility>

namespace forkserver::harness {
namespace {

constexpr std::size_t kLongestValue = 200;

constexpr std::string_view kVolatile[] = {
    "_",
    "COLUMNS",
    "GPG_TTY",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LINES",
    "MAKEFLAGS",
    "MAKELEVEL",
    "MFLAGS",
    "OLDPWD",
    "PWD",
    "SHLVL",
    "SSH_CLIENT",
    "SSH_CONNECTION",
    "SSH_TTY",
    "STY",
    "TERM_SESSION_ID",
    "TMPDIR",
    "TMUX",
    "TMUX_PANE",
    "WINDOW",
    "WINDOWID",
    "XDG_SESSION_ID",
};

bool StartsWith(std::string_view text, std::string_view beginning) {
  return text.substr(0, beginning.size()) == beginning;
}

bool LooksSecret(const std::string& name) {
  std::string upper = name;
  for (char& c : upper) {
    c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  for (const char* word : {"TOKEN", "SECRET", "PASS", "KEY", "CREDENTIAL",
                           "AUTH", "COOKIE", "SESSION"}) {
    if (upper.find(word) != std::string::npos) return true;
  }
  return false;
}

std::map<std::string, std::string> DescribeEnvironment(
    const std::vector<std::string>& env) {
  std::map<std::string, std::string> variables;
  for (const std::string& each : env) {
    const std::size_t equals = each.find('=');
    if (equals == std::string::npos) continue;
    const std::string name = each.substr(0, equals);
    if (IsVolatileVariable(name)) continue;
    std::string value = each.substr(equals + 1);
    if (value.size() > kLongestValue || LooksSecret(name) ||
        value.substr(0, 1) == "#") {
      value = "#" + DigestOf(value);
    }
    variables.emplace(name, std::move(value));  // of equal names the first
  }
  return variables;
}

std::string Shown(const std::string& value) {
  return value.substr(0, 1) == "#" ? "(another value)" : value;
}

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) {
    if (!text.empty()) text += ' ';
    text += word;
  }
  return text.empty() ? "none" : text;
}

void CompareEnvironment(const std::map<std::string, std::string>& before,
                        const std::map<std::string, std::string>& now,
                        std::vector<std::string>& differences) {
  for (const auto& [name, value] : before) {
    const auto found = now.find(name);
    if (found == now.end()) {
      differences.push_back("environment: " + name + " is not set any more");
    } else if (found->second != value) {
      const bool hidden =
          value.substr(0, 1) == "#" || found->second.substr(0, 1) == "#";
      differences.push_back(
          "environment: " + name +
          (hidden ? " has another value"
                  : " " + Shown(value) + " -> " + Shown(found->second)));
    }
  }
  for (const auto& [name, value] : now) {
    if (before.count(name) == 0) {
      differences.push_back("environment: " + name + " is set" +
                            (value.substr(0, 1) == "#" ? "" : " to " + value));
    }
  }
}

}  // namespace

bool IsVolatileVariable(std::string_view name) {
  return StartsWith(name, "FORKSERVER_") ||
         std::find(std::begin(kVolatile), std::end(kVolatile), name) !=
             std::end(kVolatile);
}

Result<Fingerprint> TakeFingerprint(const std::string& program,
                                    const std::vector<std::string>& paths,
                                    const TargetOptions& options,
                                    const Fingerprint* known) {
  Fingerprint fingerprint;
  fingerprint.program = program;
  fingerprint.arguments = options.arguments;
  fingerprint.preload = options.preload;
  fingerprint.cwd = options.cwd;
  fingerprint.environment = DescribeEnvironment(options.env);
  for (const std::string& path : paths) {
    auto identity = Identify(path);
    if (!identity) return identity.error();
    FileContent content{*identity, {}};
    const FileContent* before = nullptr;
    if (known != nullptr) {
      const auto found = known->files.find(path);
      if (found != known->files.end()) before = &found->second;
    }
    if (before != nullptr && before->identity == *identity) {
      content.digest = before->digest;
    } else {
      auto digest = DigestOfFile(path);
      if (!digest) return digest.error();
      content.digest = *std::move(digest);
    }
    fingerprint.files.emplace(path, std::move(content));
  }
  return fingerprint;
}

std::string DigestOfOptions(const Fingerprint& fingerprint) {
  std::string text = fingerprint.cwd;
  const auto add = [&text](std::string_view part) {
    text += '\0';
    text += part;
  };
  for (const auto* list : {&fingerprint.arguments, &fingerprint.preload}) {
    add(std::to_string(list->size()));
    for (const std::string& each : *list) add(each);
  }
  for (const auto& [name, value] : fingerprint.environment) {
    add(name);
    add(value);
  }
  return DigestOf(text);
}

std::vector<std::string> DescribeDifferences(const Fingerprint& before,
                                             const Fingerprint& now) {
  std::vector<std::string> differences;
  const auto kind = [&](const std::string& path) {
    if (path != now.program) return "library: " + path;
    return "binary: " + path.substr(path.rfind('/') + 1);
  };
  for (const auto& [path, content] : before.files) {
    const auto found = now.files.find(path);
    if (found == now.files.end()) {
      differences.push_back(kind(path) + " is gone");
    } else if (found->second.digest != content.digest) {
      differences.push_back(kind(path));
    }
  }
  for (const auto& [path, content] : now.files) {
    if (before.files.count(path) == 0) {
      differences.push_back(kind(path) + " is new");
    }
  }
  if (before.arguments != now.arguments) {
    differences.push_back("arguments: " + Joined(before.arguments) + " -> " +
                          Joined(now.arguments));
  }
  if (before.preload != now.preload) {
    differences.push_back("preload: " + Joined(before.preload) + " -> " +
                          Joined(now.preload));
  }
  if (before.cwd != now.cwd) {
    differences.push_back("folder: " + before.cwd + " -> " + now.cwd);
  }
  CompareEnvironment(before.environment, now.environment, differences);
  return differences;
}

}  // namespace forkserver::harness
