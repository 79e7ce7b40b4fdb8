#include "sdk/cpp/frozen_environment.h"

#include <algorithm>

namespace forkserver {

FrozenEnvironment::FrozenEnvironment(std::vector<std::string> environment,
                                     std::vector<std::string> patterns)
    : environment_(std::move(environment)),
      patterns_(std::move(patterns)),
      frozen_(SelectFrozen(environment_)) {}

bool FrozenEnvironment::IsFrozen(std::string_view name) const {
  return std::any_of(patterns_.begin(), patterns_.end(),
                     [name](std::string_view pattern) {
                       if (pattern.empty() || pattern.back() != '*')
                         return name == pattern;
                       pattern.remove_suffix(1);
                       return name.substr(0, pattern.size()) == pattern;
                     });
}

FrozenEnvironment::Variables FrozenEnvironment::SelectFrozen(
    const std::vector<std::string>& environment) const {
  Variables selected;
  for (const std::string_view variable : environment) {
    const std::size_t equals = variable.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = variable.substr(0, equals);
    if (IsFrozen(name))
      selected.emplace_back(name, variable.substr(equals + 1));
  }
  // Of a name that is there twice getenv(3) finds the first.
  const auto by_name = [](const auto& a, const auto& b) {
    return a.first < b.first;
  };
  std::stable_sort(selected.begin(), selected.end(), by_name);
  const auto same_name = [](const auto& a, const auto& b) {
    return a.first == b.first;
  };
  selected.erase(std::unique(selected.begin(), selected.end(), same_name),
                 selected.end());
  return selected;
}

std::string FrozenEnvironment::DescribeDifference(
    const std::vector<std::string>& environment) const {
  const Variables wanted = SelectFrozen(environment);
  if (wanted == frozen_) return {};
  std::string text;
  const auto name_one = [&text](std::string_view name, const char* what) {
    if (!text.empty()) text += ", ";
    text.append(name).append(" (").append(what).append(")");
  };
  auto ours = frozen_.begin();
  auto theirs = wanted.begin();
  while (ours != frozen_.end() || theirs != wanted.end()) {
    if (theirs == wanted.end() ||
        (ours != frozen_.end() && ours->first < theirs->first)) {
      name_one((ours++)->first, "removed");
    } else if (ours == frozen_.end() || theirs->first < ours->first) {
      name_one((theirs++)->first, "added");
    } else {
      if (ours->second != theirs->second) name_one(ours->first, "changed");
      ++ours;
      ++theirs;
    }
  }
  return text;
}

}  // namespace forkserver
