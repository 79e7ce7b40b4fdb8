#include "tools/harness/plan/partition.h"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace forkserver::harness {
namespace {

Partition Part(const std::string& text) {
  auto partition = ParsePartition(text);
  REQUIRE(partition);
  return *partition;
}

std::vector<std::string> MakeIds(int count) {
  std::vector<std::string> ids;
  for (int i = 0; i < count; ++i) ids.push_back("t::" + std::to_string(i));
  return ids;
}

// The environment, with only these variables of the protocols for shards.
class ScopedShards {
 public:
  explicit ScopedShards(const std::map<std::string, std::string>& variables) {
    for (const char* name :
         {"TEST_SHARD_INDEX", "TEST_TOTAL_SHARDS", "GTEST_SHARD_INDEX",
          "GTEST_TOTAL_SHARDS", "CI_NODE_INDEX", "CI_NODE_TOTAL",
          "SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT",
          "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_STEP"}) {
      ::unsetenv(name);
    }
    for (const auto& [name, value] : variables) {
      ::setenv(name.c_str(), value.c_str(), 1);
    }
  }
};

TEST_CASE("a partition is a kind, which part and of how many") {
  const Partition partition = Part("balanced:2/3");
  CHECK(partition.kind == Partition::Kind::kBalanced);
  CHECK(partition.index == 2);
  CHECK(partition.count == 3);
  for (const char* text :
       {"", "hash", "hash:", "hash:0/3", "hash:4/3", "hash:1/0", "hash:1-3",
        "hash:1/3/4", "slice:1/3", "hash:x/3", "1/3", "hash:1/9999999999"}) {
    CAPTURE(text);
    CHECK_FALSE(ParsePartition(text));
  }
}

TEST_CASE("each test is in exactly one part, by hash and balanced") {
  const auto ids = MakeIds(100);
  std::vector<std::int64_t> wall_us;
  for (int i = 0; i < 100; ++i) wall_us.push_back(i * i + 1);
  for (const std::string kind : {"hash:", "balanced:"}) {
    std::vector<int> seen(ids.size());
    for (int part = 1; part <= 7; ++part) {
      const auto outcome =
          Divide(Part(kind + std::to_string(part) + "/7"), ids, wall_us);
      CHECK_FALSE(outcome.by_hash);
      for (std::size_t i = 0; i < ids.size(); ++i) {
        seen[i] += outcome.in_part[i] ? 1 : 0;
      }
    }
    CHECK(std::all_of(seen.begin(), seen.end(), [](int n) { return n == 1; }));
  }
}

TEST_CASE("by hash a test stays where it is when others come and go") {
  const auto few = MakeIds(20);
  const auto many = MakeIds(40);
  const auto before =
      Divide(Part("hash:1/3"), few, std::vector<std::int64_t>(20));
  const auto after =
      Divide(Part("hash:1/3"), many, std::vector<std::int64_t>(40));
  for (std::size_t i = 0; i < few.size(); ++i) {
    CHECK(before.in_part[i] == after.in_part[i]);
  }
  // Written down: machines with other versions must agree.
  const std::vector<bool> first(after.in_part.begin(),
                                after.in_part.begin() + 8);
  CHECK(first ==
        std::vector<bool>{false, true, false, true, false, false, true, true});
}

TEST_CASE("balanced parts take about the same time") {
  const auto ids = MakeIds(6);
  // Together 100 for three parts: at best 40, 30, 30.
  const std::vector<std::int64_t> wall_us = {40, 20, 10, 10, 10, 10};
  std::vector<std::int64_t> sums;
  for (const char* text : {"balanced:1/3", "balanced:2/3", "balanced:3/3"}) {
    const auto outcome = Divide(Part(text), ids, wall_us);
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (outcome.in_part[i]) sum += wall_us[i];
    }
    sums.push_back(sum);
  }
  CHECK(sums == std::vector<std::int64_t>{40, 30, 30});
}

TEST_CASE("the order in which tests are listed does not matter") {
  const auto ids = MakeIds(50);
  std::vector<std::int64_t> wall_us;
  for (int i = 0; i < 50; ++i) wall_us.push_back(i % 5 == 0 ? 0 : 100);
  auto other_ids = ids;
  auto other_us = wall_us;
  std::reverse(other_ids.begin(), other_ids.end());
  std::reverse(other_us.begin(), other_us.end());
  const auto one = Divide(Part("balanced:2/4"), ids, wall_us);
  const auto other = Divide(Part("balanced:2/4"), other_ids, other_us);
  CHECK(one.digest == other.digest);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    CHECK(one.in_part[i] == other.in_part[ids.size() - 1 - i]);
  }
  auto longer = wall_us;
  longer[1] = 5000;
  CHECK(Divide(Part("balanced:2/4"), ids, longer).digest != one.digest);
}

TEST_CASE("with too few recorded times, balanced is by hash and says so") {
  const auto ids = MakeIds(10);
  std::vector<std::int64_t> wall_us(10);
  for (int i = 0; i < 4; ++i) wall_us[static_cast<std::size_t>(i)] = 100;
  const auto outcome = Divide(Part("balanced:1/2"), ids, wall_us);
  CHECK(outcome.by_hash);
  CHECK(outcome.measured == 4);
  CHECK(outcome.in_part == Divide(Part("hash:1/2"), ids, wall_us).in_part);
  wall_us[4] = 100;
  CHECK_FALSE(Divide(Part("balanced:1/2"), ids, wall_us).by_hash);
}

TEST_CASE("the environment of each system names a part") {
  const auto expect = [](const std::map<std::string, std::string>& variables,
                         int index, int count) {
    const ScopedShards shards(variables);
    const auto partition = PartitionOfEnvironment();
    REQUIRE(partition);
    REQUIRE(partition->has_value());
    CHECK((*partition)->index == index);
    CHECK((*partition)->count == count);
    CHECK((*partition)->kind == Partition::Kind::kHash);
  };
  expect({{"TEST_SHARD_INDEX", "0"}, {"TEST_TOTAL_SHARDS", "3"}}, 1, 3);
  expect({{"GTEST_SHARD_INDEX", "2"}, {"GTEST_TOTAL_SHARDS", "3"}}, 3, 3);
  expect({{"CI_NODE_INDEX", "2"}, {"CI_NODE_TOTAL", "4"}}, 2, 4);
  expect({{"SLURM_ARRAY_TASK_ID", "7"},
          {"SLURM_ARRAY_TASK_COUNT", "4"},
          {"SLURM_ARRAY_TASK_MIN", "1"},
          {"SLURM_ARRAY_TASK_STEP", "2"}},
         4, 4);
  expect({{"SLURM_ARRAY_TASK_ID", "0"}, {"SLURM_ARRAY_TASK_COUNT", "2"}}, 1, 2);
}

TEST_CASE("an environment that names no part is an error or nothing") {
  {
    const ScopedShards shards({});
    CHECK_FALSE(PartitionOfEnvironment()->has_value());
  }
  {
    const ScopedShards shards({{"CI_NODE_INDEX", "1"}, {"CI_NODE_TOTAL", "1"}});
    CHECK_FALSE(PartitionOfEnvironment()->has_value());
  }
  {
    const ScopedShards shards(
        {{"TEST_SHARD_INDEX", "3"}, {"TEST_TOTAL_SHARDS", "3"}});
    const auto partition = PartitionOfEnvironment();
    REQUIRE_FALSE(partition);
    CHECK(partition.error().message.find("TEST_SHARD_INDEX='3'") == 0);
  }
  {
    const ScopedShards shards(
        {{"CI_NODE_INDEX", "one"}, {"CI_NODE_TOTAL", "many"}});
    CHECK_FALSE(PartitionOfEnvironment());
  }
}

}  // namespace
}  // namespace forkserver::harness
