// What is run next: the tests in their order, those that are to be tried
// again, and what must not run at the same time. Passive; times are the
// caller's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tools/harness/plan/rules.h"

namespace forkserver::harness {

// What one worker is to run.
struct Unit {
  std::vector<std::size_t> tests;  // one, or several of one target
  int copy = 0;                    // of --repeat and --stress, from 0
  int tries = 1;  // attempts that count for --retries, with this one
  std::size_t target = 0;
  bool again = false;  // at least one of them has begun before
  // It ran when its zygote or the daemon died. Now it runs with no other test
  // beside it that could be what did it.
  bool alone = false;
  bool after_loss = false;
  std::int64_t not_before_ns = 0;
};

class Schedule {
 public:
  // `needs` of each test, by index.
  Schedule(int slots, std::vector<Needs> needs)
      : slots_(slots), needs_(std::move(needs)) {}

  void Add(Unit unit) { ready_.push_back(std::move(unit)); }
  // Before those that have not begun, as soon as its time has come.
  void AddAgain(Unit unit);
  // Nothing is begun any more. Returns how many results will not come.
  std::size_t DropAll();
  // The same, of tests that have not begun before.
  std::size_t DropNew();

  // The next unit that can begin now; it counts as running until Release.
  // `is_ready` has a word of its own.
  using IsReady = std::function<bool(const Unit&)>;
  std::optional<Unit> Take(std::int64_t now_ns, const IsReady& is_ready = {});
  void Release(const Unit& unit);

  bool has_ready() const { return !ready_.empty(); }
  bool empty() const { return ready_.empty() && delayed_.empty(); }
  std::size_t running() const { return running_; }
  // When a unit that waits for its time may begin.
  std::optional<std::int64_t> NextTimeNs() const;

 private:
  bool CanRun(const Unit& unit) const;
  void Occupy(const Unit& unit, int direction);
  int WeightOf(const Unit& unit) const;

  int slots_;
  std::vector<Needs> needs_;
  std::deque<Unit> ready_;
  std::multimap<std::int64_t, Unit> delayed_;  // by their time
  std::set<std::string> held_;                 // mutexes
  std::map<std::string, int> in_group_;
  int used_ = 0;
  std::size_t running_ = 0;
  bool alone_runs_ = false;
};

}  // namespace forkserver::harness
