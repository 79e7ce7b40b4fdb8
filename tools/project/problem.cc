#include "tools/project/problem.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "tools/toml/nearest_word.h"

namespace forkserver::project {
namespace {

// What other tools call it.
struct OtherName {
  const char* theirs;
  const char* ours;
};
constexpr OtherName kOtherNames[] = {
    {"autorestart", "restart"},
    {"cmd", "command"},
    {"depends-on", "after"},
    {"depends_on", "after"},
    {"dir", "cwd"},
    {"directory", "cwd"},
    {"env", "environment"},
    {"exec", "command"},
    {"healthcheck", "ready"},
    {"needs", "after"},
    {"requires", "after"},
    {"run", "command"},
    {"service", "services"},
    {"stop_grace_period", "grace"},
    {"stopsignal", "stop-signal"},
    {"wants", "after"},
    {"workdir", "cwd"},
    {"working-directory", "cwd"},
    {"working_dir", "cwd"},
    {"zygote", "zygotes"},
};

bool Contains(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

std::string ToText(const Problem& problem) {
  std::string text = problem.file;
  if (problem.line > 0) text += ":" + std::to_string(problem.line);
  text += ": ";
  if (!problem.key.empty()) text += problem.key + ": ";
  return text + problem.message;
}

std::string DidYouMean(const std::string& word,
                       const std::vector<std::string>& known) {
  for (const OtherName& other : kOtherNames) {
    if (word == other.theirs && Contains(known, other.ours)) {
      return "; did you mean '" + std::string(other.ours) + "'?";
    }
  }
  const std::string nearest = NearestWord(word, known);
  return nearest.empty() ? std::string() : "; did you mean '" + nearest + "'?";
}

void Problems::Add(int line, std::string key, std::string message) {
  problems_.push_back({file_, line, std::move(key), std::move(message)});
}

void Problems::AddUnknownKey(const TomlEntry& entry, const std::string& key,
                             const std::vector<std::string>& known) {
  Add(entry.line, key, "there is no such key" + DidYouMean(entry.key, known));
}

std::vector<Problem> Problems::Take() {
  std::stable_sort(
      problems_.begin(), problems_.end(),
      [](const Problem& a, const Problem& b) { return a.line < b.line; });
  return std::exchange(problems_, {});
}

}  // namespace forkserver::project
