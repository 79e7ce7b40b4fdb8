#include "tools/harness/plan/partition.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <utility>

#include "tools/harness/plan/stable_hash.h"

namespace forkserver::harness {
namespace {

constexpr int kMostParts = 100'000;

std::optional<int> ParseNumber(const std::string& text) {
  if (text.empty() || text.size() > 9) return std::nullopt;
  int number = 0;
  for (const char letter : text) {
    if (letter < '0' || letter > '9') return std::nullopt;
    number = number * 10 + (letter - '0');
  }
  return number;
}

Error BadPartition(const std::string& message, const std::string& hint) {
  return MakeError(error_code::kBadRequest, message, hint);
}

// A pair of variables: which part, and of how many.
struct Variables {
  const char* index;
  const char* count;
  int first;  // the index of the first part
};
constexpr Variables kVariables[] = {
    {"TEST_SHARD_INDEX", "TEST_TOTAL_SHARDS", 0},
    {"GTEST_SHARD_INDEX", "GTEST_TOTAL_SHARDS", 0},
    {"CI_NODE_INDEX", "CI_NODE_TOTAL", 1},
};

std::string Variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Result<std::optional<Partition>> MakePart(const char* index_name,
                                          std::optional<int> index,
                                          const char* count_name,
                                          std::optional<int> count) {
  if (!count || *count < 1 || *count > kMostParts) {
    return BadPartition(std::string(count_name) + "='" + Variable(count_name) +
                            "' is not a number of parts",
                        "set it to 1 or more, or unset it");
  }
  if (!index || *index < 1 || *index > *count) {
    return BadPartition(std::string(index_name) + "='" + Variable(index_name) +
                            "' is none of " + std::to_string(*count) + " parts",
                        std::string("see ") + count_name);
  }
  if (*count == 1) return std::optional<Partition>();
  Partition partition;
  partition.index = *index;
  partition.count = *count;
  partition.from = index_name;
  return std::optional<Partition>(partition);
}

// An array of Slurm may begin anywhere and have steps.
Result<std::optional<Partition>> PartitionOfSlurm() {
  const std::string task = Variable("SLURM_ARRAY_TASK_ID");
  const std::string count = Variable("SLURM_ARRAY_TASK_COUNT");
  if (task.empty() || count.empty()) return std::optional<Partition>();
  const std::string min_text = Variable("SLURM_ARRAY_TASK_MIN");
  const std::string step_text = Variable("SLURM_ARRAY_TASK_STEP");
  const int first = ParseNumber(min_text).value_or(0);
  const int step = std::max(ParseNumber(step_text).value_or(1), 1);
  std::optional<int> index = ParseNumber(task);
  if (index) index = (*index - first) / step + 1;
  return MakePart("SLURM_ARRAY_TASK_ID", index, "SLURM_ARRAY_TASK_COUNT",
                  ParseNumber(count));
}

int PartByHash(const std::string& id, int count) {
  return static_cast<int>(StableHash(id) % static_cast<std::uint64_t>(count)) +
         1;
}

std::int64_t MedianOf(std::vector<std::int64_t> known) {
  if (known.empty()) return 1;
  const auto middle =
      known.begin() + static_cast<std::ptrdiff_t>(known.size() / 2);
  std::nth_element(known.begin(), middle, known.end());
  return *middle;
}

// The part of each test.
std::vector<int> Balance(int count, const std::vector<std::string>& ids,
                         const std::vector<std::int64_t>& wall_us,
                         std::int64_t median_us) {
  std::vector<std::size_t> order(ids.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto length = [&](std::size_t test) {
    return wall_us[test] > 0 ? wall_us[test] : median_us;
  };
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    if (length(a) != length(b)) return length(a) > length(b);
    return ids[a] < ids[b];
  });
  std::vector<std::int64_t> load(static_cast<std::size_t>(count));
  std::vector<int> part(ids.size());
  for (const std::size_t test : order) {
    const auto least = std::min_element(load.begin(), load.end());
    *least += length(test);
    part[test] = static_cast<int>(least - load.begin()) + 1;
  }
  return part;
}

}  // namespace

Result<Partition> ParsePartition(const std::string& text) {
  constexpr char kHint[] = "write hash:1/3 or balanced:1/3 for the first of 3";
  const std::size_t colon = text.find(':');
  const std::size_t slash = text.find('/');
  const std::string kind = text.substr(0, colon);
  if ((kind != "hash" && kind != "balanced") || colon == std::string::npos ||
      slash == std::string::npos || slash < colon) {
    return BadPartition("'" + text + "' is not a partition", kHint);
  }
  const auto index = ParseNumber(text.substr(colon + 1, slash - colon - 1));
  const auto count = ParseNumber(text.substr(slash + 1));
  if (!index || !count || *count < 1 || *count > kMostParts || *index < 1 ||
      *index > *count) {
    return BadPartition("'" + text + "' names no part", kHint);
  }
  Partition partition;
  partition.kind =
      kind == "hash" ? Partition::Kind::kHash : Partition::Kind::kBalanced;
  partition.index = *index;
  partition.count = *count;
  partition.from = "--partition";
  return partition;
}

Result<std::optional<Partition>> PartitionOfEnvironment() {
  const auto read = [](const Variables& variables) {
    std::optional<int> index = ParseNumber(Variable(variables.index));
    if (index) *index += 1 - variables.first;
    return MakePart(variables.index, index, variables.count,
                    ParseNumber(Variable(variables.count)));
  };
  const auto is_set = [](const Variables& variables) {
    return !Variable(variables.count).empty() &&
           !Variable(variables.index).empty();
  };
  if (is_set(kVariables[0])) return read(kVariables[0]);
  if (is_set(kVariables[1])) return read(kVariables[1]);
  auto slurm = PartitionOfSlurm();
  if (!slurm || slurm->has_value()) return slurm;
  if (is_set(kVariables[2])) return read(kVariables[2]);
  return std::optional<Partition>();
}

PartitionOutcome Divide(const Partition& partition,
                        const std::vector<std::string>& ids,
                        const std::vector<std::int64_t>& wall_us) {
  PartitionOutcome outcome;
  std::vector<std::int64_t> known;
  for (const std::int64_t each : wall_us) {
    if (each > 0) known.push_back(each);
  }
  outcome.measured = known.size();
  std::vector<int> part(ids.size());
  if (partition.kind == Partition::Kind::kBalanced &&
      2 * known.size() >= ids.size()) {
    part = Balance(partition.count, ids, wall_us, MedianOf(std::move(known)));
  } else {
    outcome.by_hash = partition.kind == Partition::Kind::kBalanced;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      part[i] = PartByHash(ids[i], partition.count);
    }
  }
  std::vector<std::size_t> by_id(ids.size());
  std::iota(by_id.begin(), by_id.end(), std::size_t{0});
  std::sort(by_id.begin(), by_id.end(),
            [&](std::size_t a, std::size_t b) { return ids[a] < ids[b]; });
  std::string plan;
  for (const std::size_t test : by_id) {
    plan += ids[test] + '\0' + std::to_string(part[test]) + '\0';
  }
  outcome.digest = StableDigest(plan).substr(0, 8);
  for (const int each : part) {
    outcome.in_part.push_back(each == partition.index);
  }
  return outcome;
}

}  // namespace forkserver::harness
