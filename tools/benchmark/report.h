// What the benchmark found: rows of figures, and the table of them.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tools/benchmark/sampler.h"

namespace forkserver::benchmark {

// What a ratio is hoped to be. Printed beside it; nothing fails for it.
struct Aim {
  double value = 0;
  bool at_least = false;  // else at most
};

// The median of `series` divided by that of `reference`, both by name. An
// empty reference: the series only.
struct Comparison {
  std::string series;
  std::string reference;
  std::optional<Aim> aim;
};

struct Row {
  std::string name;   // begins with its group and '/'
  std::string group;  // what was measured in turn
  Role role = Role::kForkserverd;
  std::string unit;
  Summary summary;
  std::string reference;  // empty: none
  std::optional<double> ratio;
  std::optional<Aim> aim;
  bool met() const;
};

inline constexpr char kMicroseconds[] = "us";
inline constexpr char kRequestsPerSecond[] = "requests/s";

// A row for each comparison, with its reference before it where that has no
// row yet. Names get `group` and '/' in front.
std::vector<Row> MakeRows(const std::string& group,
                          const std::vector<Series>& all,
                          const std::vector<Comparison>& comparisons,
                          const char* unit = kMicroseconds);

// Where and with what it was measured, in the order of printing.
using Facts = std::vector<std::pair<std::string, std::string>>;

// "forked/warm/fork/exit" beside "forked/warm/forkserverd/exit" is "fork/exit".
std::string WithoutSharedFolders(const std::string& name,
                                 const std::string& beside);

// "<= 1.4  met", or nothing.
std::string FormatAim(const Row& row);

// What is wrong with figures that more than a tenth was disturbed of: a
// sentence, or nothing.
std::string DisturbedNote(const std::vector<Row>& rows);

void PrintHeader(const Facts& machine, const Facts& versions);
void PrintRows(const std::vector<Row>& rows);

}  // namespace forkserver::benchmark
