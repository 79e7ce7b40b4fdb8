#include "tools/harness/plan/order.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "tools/harness/plan/stable_hash.h"

namespace forkserver::harness {

std::vector<std::size_t> LongestFirst(
    const std::vector<std::int64_t>& wall_us) {
  std::vector<std::size_t> order(wall_us.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto length = [&](std::size_t test) {
    return wall_us[test] > 0 ? wall_us[test]
                             : std::numeric_limits<std::int64_t>::max();
  };
  std::stable_sort(
      order.begin(), order.end(),
      [&](std::size_t a, std::size_t b) { return length(a) > length(b); });
  return order;
}

std::vector<std::size_t> Shuffled(std::size_t count, std::uint64_t seed) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  StableRandom random(seed);
  for (std::size_t i = count; i > 1; --i) {
    std::swap(order[i - 1], order[random.Below(i)]);
  }
  return order;
}

}  // namespace forkserver::harness
