// One part of the tests for each of several machines. Which part a test is in
// depends on nothing but the ids of the tests and, for `balanced`, on their
// recorded durations: all machines must read the same.
#pragma once

#include <forkserver/result.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace forkserver::harness {

struct Partition {
  // hash: by the test's id alone; a new test does not move the others.
  // balanced: so that all parts take about the same time.
  enum class Kind { kHash, kBalanced };
  Kind kind = Kind::kHash;
  int index = 1;  // from 1
  int count = 1;
  std::string from;  // where that was said: "--partition", "TEST_SHARD_INDEX"
};

// "hash:1/3", "balanced:2/3". Errors "bad_request".
Result<Partition> ParsePartition(const std::string& text);

// What the environment says: Bazel's TEST_TOTAL_SHARDS and TEST_SHARD_INDEX,
// GoogleTest's GTEST_TOTAL_SHARDS and GTEST_SHARD_INDEX, Slurm's
// SLURM_ARRAY_TASK_*, CI_NODE_TOTAL and CI_NODE_INDEX, in this order. Absent:
// nothing, or a single part. Errors name the variable.
Result<std::optional<Partition>> PartitionOfEnvironment();

// For each test whether it is in this part. The order of `ids`, which must
// differ from each other, does not matter. `wall_us`: 0 is unknown.
//
// Balanced: the longest first, each to the part that has least to do so far
// (of several the first). A test of unknown time counts as the median of the
// others. If less than half of the times are known it is by hash.
struct PartitionOutcome {
  std::vector<bool> in_part;
  bool by_hash = false;  // of balanced: too little is known
  std::size_t measured = 0;
  // Of the whole plan: the machines of a run must have the same.
  std::string digest;
};
PartitionOutcome Divide(const Partition& partition,
                        const std::vector<std::string>& ids,
                        const std::vector<std::int64_t>& wall_us);

}  // namespace forkserver::harness
