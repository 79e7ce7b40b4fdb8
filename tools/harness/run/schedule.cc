#include "tools/harness/run/schedule.h"

#include <algorithm>
#include <utility>

namespace forkserver::harness {

void Schedule::AddAgain(Unit unit) {
  unit.again = true;
  const std::int64_t time_ns = unit.not_before_ns;
  delayed_.emplace(time_ns, std::move(unit));
}

std::size_t Schedule::DropAll() {
  std::size_t results = 0;
  for (const Unit& unit : ready_) results += unit.tests.size();
  for (const auto& [time_ns, unit] : delayed_) results += unit.tests.size();
  ready_.clear();
  delayed_.clear();
  return results;
}

std::size_t Schedule::DropNew() {
  std::size_t results = 0;
  const auto is_new = [](const Unit& unit) { return !unit.again; };
  for (const Unit& unit : ready_) {
    if (is_new(unit)) results += unit.tests.size();
  }
  ready_.erase(std::remove_if(ready_.begin(), ready_.end(), is_new),
               ready_.end());
  return results;
}

int Schedule::WeightOf(const Unit& unit) const {
  int weight = 1;
  for (const std::size_t test : unit.tests) {
    weight = std::max(weight, needs_[test].slots);
  }
  return std::min(weight, slots_);
}

bool Schedule::CanRun(const Unit& unit) const {
  for (const std::size_t test : unit.tests) {
    const Needs& needs = needs_[test];
    for (const std::string& name : needs.mutexes) {
      if (held_.count(name) != 0) return false;
    }
    if (needs.group.empty()) continue;
    const auto group = in_group_.find(needs.group);
    if (group != in_group_.end() && group->second >= needs.group_limit) {
      return false;
    }
  }
  return true;
}

void Schedule::Occupy(const Unit& unit, int direction) {
  std::set<std::string> groups;
  for (const std::size_t test : unit.tests) {
    const Needs& needs = needs_[test];
    for (const std::string& name : needs.mutexes) {
      if (direction > 0) {
        held_.insert(name);
      } else {
        held_.erase(name);
      }
    }
    if (!needs.group.empty()) groups.insert(needs.group);
  }
  for (const std::string& group : groups) in_group_[group] += direction;
  used_ += direction * WeightOf(unit);
  running_ += static_cast<std::size_t>(direction);
  if (unit.alone) alone_runs_ = direction > 0;
}

std::optional<Unit> Schedule::Take(std::int64_t now_ns,
                                   const IsReady& is_ready) {
  // Those whose time has come go first, the longest due at the very front.
  std::vector<Unit> due;
  while (!delayed_.empty() && delayed_.begin()->first <= now_ns) {
    due.push_back(std::move(delayed_.begin()->second));
    delayed_.erase(delayed_.begin());
  }
  ready_.insert(ready_.begin(), std::make_move_iterator(due.begin()),
                std::make_move_iterator(due.end()));
  if (alone_runs_) return std::nullopt;
  for (auto unit = ready_.begin(); unit != ready_.end(); ++unit) {
    if (unit->alone && running_ > 0) return std::nullopt;
    // A heavy one is not to be overtaken for ever by light ones.
    if (used_ + WeightOf(*unit) > slots_) return std::nullopt;
    if (!CanRun(*unit) || (is_ready && !is_ready(*unit))) continue;
    Unit taken = std::move(*unit);
    ready_.erase(unit);
    Occupy(taken, 1);
    return taken;
  }
  return std::nullopt;
}

void Schedule::Release(const Unit& unit) { Occupy(unit, -1); }

std::optional<std::int64_t> Schedule::NextTimeNs() const {
  if (delayed_.empty()) return std::nullopt;
  return delayed_.begin()->first;
}

}  // namespace forkserver::harness
