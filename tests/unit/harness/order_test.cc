#include "tools/harness/plan/order.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <vector>

#include "tools/harness/plan/stable_hash.h"

namespace forkserver::harness {
namespace {

using Order = std::vector<std::size_t>;

TEST_CASE("the longest begins first, after those whose time is unknown") {
  CHECK(LongestFirst({10, 0, 30, 20, 0}) == Order{1, 4, 2, 3, 0});
  CHECK(LongestFirst({5, 5, 5}) == Order{0, 1, 2});
  CHECK(LongestFirst({}) == Order{});
}

TEST_CASE("a seed gives the same order on every machine") {
  // Written down: another order would be another meaning of old seeds.
  CHECK(Shuffled(8, 1) == Order{4, 3, 2, 7, 5, 6, 0, 1});
  CHECK(Shuffled(8, 1) != Shuffled(8, 2));
  CHECK(Shuffled(0, 1).empty());
}

TEST_CASE("every test is in a shuffled order once") {
  Order order = Shuffled(1000, 42);
  CHECK_FALSE(std::is_sorted(order.begin(), order.end()));
  std::sort(order.begin(), order.end());
  Order all(1000);
  std::iota(all.begin(), all.end(), std::size_t{0});
  CHECK(order == all);
}

TEST_CASE("each order of three comes about as often as the others") {
  std::vector<int> seen(27);
  for (std::uint64_t seed = 0; seed < 6000; ++seed) {
    const Order order = Shuffled(3, seed);
    ++seen[order[0] * 9 + order[1] * 3 + order[2]];
  }
  int orders = 0;
  for (const int times : seen) {
    if (times == 0) continue;
    ++orders;
    CHECK(times > 850);
    CHECK(times < 1150);
  }
  CHECK(orders == 6);
}

TEST_CASE("hashes of ids are as they were in every version") {
  CHECK(StableDigest("") == "c3817c016ba4ff30");
  CHECK(StableHash("a") != StableHash("b"));
  std::set<std::uint64_t> low_bits;
  for (int i = 0; i < 64; ++i) {
    low_bits.insert(StableHash("test " + std::to_string(i)) % 16);
  }
  CHECK(low_bits.size() == 16);
}

}  // namespace
}  // namespace forkserver::harness
