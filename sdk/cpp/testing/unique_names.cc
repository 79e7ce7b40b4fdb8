#include "sdk/cpp/testing/unique_names.h"

#include <unordered_map>
#include <unordered_set>

namespace forkserver {

std::vector<std::string> UniqueNames(const std::vector<PlacedName>& names) {
  std::unordered_map<std::string, int> count;
  for (const PlacedName& each : names) ++count[each.name];

  std::unordered_set<std::string> taken;
  for (const PlacedName& each : names) {
    if (count[each.name] == 1) taken.insert(each.name);
  }
  std::vector<std::string> unique;
  unique.reserve(names.size());
  std::unordered_map<std::string, int> next_number;
  for (const PlacedName& each : names) {
    if (count[each.name] == 1) {
      unique.push_back(each.name);
      continue;
    }
    const std::string placed = each.name + " (" + each.place + ")";
    int& number = next_number[placed];
    std::string name;
    // A test may be named as another one would be.
    do {
      ++number;
      name = number == 1 ? placed : placed + " #" + std::to_string(number);
    } while (!taken.insert(name).second);
    unique.push_back(std::move(name));
  }
  return unique;
}

}  // namespace forkserver
