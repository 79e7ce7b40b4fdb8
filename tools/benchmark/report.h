// What the benchmark found: rows of figures, as a table and as JSON.
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
  std::string name;
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
// row yet. Names get `prefix` in front.
std::vector<Row> MakeRows(const std::string& prefix,
                          const std::vector<Series>& all,
                          const std::vector<Comparison>& comparisons,
                          const char* unit = kMicroseconds);

// Where and with what it was measured, in the order of printing.
using Facts = std::vector<std::pair<std::string, std::string>>;
Facts DescribeMachine();

void PrintHeader(const Facts& machine, const Facts& versions);
void PrintRows(const std::vector<Row>& rows);

// False, with a message on standard error, if it cannot be written.
bool WriteJson(const std::string& path, const Facts& machine,
               const Facts& versions, const std::vector<Row>& rows);

}  // namespace forkserver::benchmark
