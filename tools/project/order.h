// The order of things that need each other. Pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace forkserver::project {

// Something with a name, and the names of what it needs. Names that are not
// there are passed over.
struct Needing {
  std::string name;
  std::vector<std::string> needs;
};

struct Order {
  // Indices, each after those that it needs, otherwise as they were. Those of
  // a cycle come last.
  std::vector<std::size_t> order;
  // "a", "b", "a": each needs the next. Empty: there is none.
  std::vector<std::string> cycle;
};
Order SortByNeed(const std::vector<Needing>& things);

// `names` and everything that they need, near and far.
std::vector<std::string> WithWhatTheyNeed(
    const std::vector<Needing>& things, const std::vector<std::string>& names);
// `names` and everything that needs them, near and far.
std::vector<std::string> WithWhatNeedsThem(
    const std::vector<Needing>& things, const std::vector<std::string>& names);

}  // namespace forkserver::project
