// The order in which tests begin. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace forkserver::harness {

// Indices of the tests: those whose time nobody knows first, in their own
// order, then the longest, so that no slot is busy alone at the end.
// `wall_us` is of each test, 0: unknown.
std::vector<std::size_t> LongestFirst(const std::vector<std::int64_t>& wall_us);

// Any order, as likely as any other; the same on every machine for the same
// seed and number.
std::vector<std::size_t> Shuffled(std::size_t count, std::uint64_t seed);

}  // namespace forkserver::harness
