// All that a run of the benchmark found, and the JSON file of it.
#pragma once

#include <forkserver/result.h>

#include <string>
#include <vector>

#include "tools/benchmark/report.h"

namespace forkserver::benchmark {

struct Figures {
  Facts machine;
  Facts versions;
  std::vector<Row> rows;
  std::vector<std::string> skipped;  // "peers_true/node: not installed"
};

// The value of a fact; empty: there is none.
std::string FactOf(const Facts& facts, const std::string& name);

Result<void> WriteFigures(const std::string& path, const Figures& figures);

// What WriteFigures wrote, now or before there were groups, roles and skips.
// Fails for every other file, and where a reference has no row.
Result<Figures> ReadFigures(const std::string& path);

}  // namespace forkserver::benchmark
