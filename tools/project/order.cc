#include "tools/project/order.h"

#include <algorithm>
#include <map>
#include <set>

namespace forkserver::project {
namespace {

bool Contains(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// Everything in `left` needs something in `left`: following that leads around.
std::vector<std::string> FindCycle(const std::vector<Needing>& things,
                                   const std::set<std::string>& left) {
  std::map<std::string, const Needing*> by_name;
  for (const Needing& thing : things) by_name[thing.name] = &thing;
  std::vector<std::string> chain;
  std::string at;
  // As in the file, not as in the alphabet.
  for (const Needing& thing : things) {
    if (left.count(thing.name) != 0) {
      at = thing.name;
      break;
    }
  }
  while (!Contains(chain, at)) {
    chain.push_back(at);
    for (const std::string& need : by_name[at]->needs) {
      if (left.count(need) != 0) {
        at = need;
        break;
      }
    }
  }
  chain.erase(chain.begin(), std::find(chain.begin(), chain.end(), at));
  chain.push_back(at);
  return chain;
}

}  // namespace

Order SortByNeed(const std::vector<Needing>& things) {
  Order result;
  std::set<std::string> left;
  for (const Needing& thing : things) left.insert(thing.name);
  std::vector<bool> done(things.size());
  for (bool progress = true; progress;) {
    progress = false;
    for (std::size_t i = 0; i < things.size(); ++i) {
      if (done[i]) continue;
      const bool ready = std::none_of(
          things[i].needs.begin(), things[i].needs.end(),
          [&](const std::string& need) { return left.count(need) != 0; });
      if (!ready) continue;
      done[i] = true;
      left.erase(things[i].name);
      result.order.push_back(i);
      progress = true;
    }
  }
  if (left.empty()) return result;
  result.cycle = FindCycle(things, left);
  for (std::size_t i = 0; i < things.size(); ++i) {
    if (!done[i]) result.order.push_back(i);
  }
  return result;
}

std::vector<std::string> WithWhatTheyNeed(
    const std::vector<Needing>& things, const std::vector<std::string>& names) {
  std::vector<std::string> all;
  std::vector<std::string> todo(names.rbegin(), names.rend());
  while (!todo.empty()) {
    const std::string name = todo.back();
    todo.pop_back();
    if (Contains(all, name)) continue;
    all.push_back(name);
    for (const Needing& thing : things) {
      if (thing.name != name) continue;
      todo.insert(todo.end(), thing.needs.begin(), thing.needs.end());
    }
  }
  return all;
}

std::vector<std::string> WithWhatNeedsThem(
    const std::vector<Needing>& things, const std::vector<std::string>& names) {
  std::vector<std::string> all = names;
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (const Needing& thing : things) {
      if (Contains(thing.needs, all[i]) && !Contains(all, thing.name)) {
        all.push_back(thing.name);
      }
    }
  }
  return all;
}

}  // namespace forkserver::project
