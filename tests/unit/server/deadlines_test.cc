#include "server/supervisor/deadlines.h"

#include <doctest/doctest.h>

#include <set>

namespace forkserver::server {
namespace {

constexpr auto kAllMeanSomething = [](const Deadline&) { return true; };

TEST_CASE("they come out in order, and only those that are due") {
  Deadlines deadlines;
  CHECK(!deadlines.NextNs());
  for (const std::int64_t at_ns : {30, 10, 20, 40}) {
    deadlines.Add({at_ns, 1, DeadlineKind::kGrace}, kAllMeanSomething);
  }
  CHECK(deadlines.NextNs() == 10);
  for (const std::int64_t at_ns : {10, 20, 30}) {
    const auto due = deadlines.TakeDue(30);
    REQUIRE(due);
    CHECK(due->at_ns == at_ns);
  }
  CHECK(!deadlines.TakeDue(30));
  CHECK(deadlines.NextNs() == 40);
}

TEST_CASE("those of what has ended do not pile up") {
  constexpr std::int64_t kFarAway = std::int64_t{1} << 60;
  Deadlines deadlines;
  std::set<ProcessKey> alive = {0};
  deadlines.Add({kFarAway, 0, DeadlineKind::kTimeout}, kAllMeanSomething);
  for (ProcessKey key = 1; key < 100'000; ++key) {
    alive.insert(key);
    deadlines.Add(
        {kFarAway - static_cast<std::int64_t>(key), key,
         DeadlineKind::kTimeout},
        [&](const Deadline& one) { return alive.count(one.key) != 0; });
    alive.erase(key);
    REQUIRE(deadlines.size() <= 200);
  }
  bool found = false;
  while (const auto due = deadlines.TakeDue(kFarAway)) {
    found = found || due->key == 0;
  }
  CHECK(found);
}

TEST_CASE("those of what is alive are all kept") {
  Deadlines deadlines;
  for (ProcessKey key = 0; key < 1000; ++key) {
    deadlines.Add(
        {static_cast<std::int64_t>(key % 7), key, DeadlineKind::kTimeout},
        kAllMeanSomething);
  }
  std::set<ProcessKey> seen;
  std::int64_t last_ns = 0;
  while (const auto due = deadlines.TakeDue(7)) {
    CHECK(due->at_ns >= last_ns);
    last_ns = due->at_ns;
    seen.insert(due->key);
  }
  CHECK(seen.size() == 1000);
}

}  // namespace
}  // namespace forkserver::server
