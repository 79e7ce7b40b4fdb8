#include "tools/forkserver/known_deaths.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>
#include <string_view>

namespace forkserver::cli {

// Made of known_deaths.json.
extern const char kKnownDeathsJson[];

namespace {

using Json = nlohmann::json;

constexpr std::size_t kInnermost = 5;

// Of a line, which a worker may have made as long as it liked.
constexpr std::size_t kMaxLine = 1000;

bool HasPattern(const std::string& text, const Json& pattern) {
  const std::regex regex(pattern.get<std::string>());
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    line.resize(std::min(line.size(), kMaxLine));
    if (std::regex_search(line, regex)) return true;
  }
  return false;
}

bool Holds(const Json& row, const ExitRecord& record,
           const CrashReport& crash) {
  const auto names = [&row](const char* key, std::string_view value) {
    const Json& list = row.at(key);
    return std::find(list.begin(), list.end(), value) != list.end();
  };
  const auto any_module = [&](std::size_t count, const Json& pattern) {
    const auto end =
        crash.frames.begin() +
        static_cast<std::ptrdiff_t>(std::min(count, crash.frames.size()));
    return std::any_of(crash.frames.begin(), end, [&](const CrashFrame& one) {
      return HasPattern(one.module, pattern);
    });
  };
  if (row.contains("signals") && !names("signals", crash.signal_name)) {
    return false;
  }
  if (row.contains("reasons") && !names("reasons", NameOf(record.reason))) {
    return false;
  }
  if (row.contains("address") &&
      (!crash.address || *crash.address < row.at("address").at(0) ||
       *crash.address > row.at("address").at(1))) {
    return false;
  }
  if (row.contains("top_module") && !any_module(1, row.at("top_module"))) {
    return false;
  }
  if (row.contains("module") && !any_module(kInnermost, row.at("module"))) {
    return false;
  }
  return !row.contains("text") || HasPattern(crash.stderr_tail, row["text"]) ||
         HasPattern(crash.traceback, row["text"]);
}

}  // namespace

std::vector<KnownDeath> FindKnownDeaths(const ExitRecord& record) {
  std::vector<KnownDeath> found;
  if (!record.crash) return found;
  for (const Json& row : Json::parse(kKnownDeathsJson)) {
    if (!Holds(row, record, *record.crash)) continue;
    found.push_back(
        {row.at("id"), row.at("sentence"),
         "docs/fork_safety.md#" + row.at("anchor").get<std::string>()});
  }
  return found;
}

}  // namespace forkserver::cli
