#include "tools/benchmark/report.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace forkserver::benchmark {
namespace {

const Series* FindSeries(const std::vector<Series>& all,
                         const std::string& name) {
  const auto found =
      std::find_if(all.begin(), all.end(),
                   [&name](const Series& each) { return each.name == name; });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace

bool Row::met() const {
  if (!aim || !ratio) return false;
  return aim->at_least ? *ratio >= aim->value : *ratio <= aim->value;
}

std::string WithoutSharedFolders(const std::string& name,
                                 const std::string& beside) {
  std::size_t begin = 0;
  for (std::size_t i = 0; i < name.size() && i < beside.size(); ++i) {
    if (name[i] != beside[i]) break;
    if (name[i] == '/') begin = i + 1;
  }
  return name.substr(begin);
}

std::string FormatAim(const Row& row) {
  if (!row.aim) return {};
  char text[48];
  std::snprintf(text, sizeof(text), "%s %g  %s",
                row.aim->at_least ? ">=" : "<=", row.aim->value,
                row.met() ? "met" : "MISSED");
  return text;
}

std::vector<Row> MakeRows(const std::string& group,
                          const std::vector<Series>& all,
                          const std::vector<Comparison>& comparisons,
                          const char* unit) {
  const std::string prefix = group + "/";
  const bool rate = std::strcmp(unit, kRequestsPerSecond) == 0;
  std::vector<Row> rows;
  const auto add = [&](const std::string& name) -> Row* {
    const Series* const series = FindSeries(all, name);
    if (series == nullptr) return nullptr;
    Row row;
    row.name = prefix + name;
    row.group = group;
    row.role = series->role;
    row.unit = unit;
    row.summary = Summarize(*series, rate);
    rows.push_back(std::move(row));
    return &rows.back();
  };
  for (const Comparison& comparison : comparisons) {
    if (comparison.reference.empty()) {
      add(comparison.series);
      continue;
    }
    const std::string reference = prefix + comparison.reference;
    const bool has_row =
        std::any_of(rows.begin(), rows.end(),
                    [&](const Row& row) { return row.name == reference; });
    if (!has_row) add(comparison.reference);
    const Series* const base = FindSeries(all, comparison.reference);
    Row* const row = add(comparison.series);
    if (base == nullptr || row == nullptr) continue;
    const Summary base_summary = Summarize(*base, rate);
    row->reference = reference;
    row->aim = comparison.aim;
    if (base_summary.median > 0) {
      row->ratio = row->summary.median / base_summary.median;
    }
  }
  return rows;
}

std::string DisturbedNote(const std::vector<Row>& rows) {
  std::size_t samples = 0;
  std::size_t disturbed = 0;
  for (const Row& row : rows) {
    samples += row.summary.samples;
    disturbed += row.summary.disturbed;
  }
  if (disturbed * 10 <= samples) return {};
  return "other processes ran during " +
         std::to_string(disturbed * 100 / samples) + " % of these samples";
}

void PrintHeader(const Facts& machine, const Facts& versions) {
  for (const Facts& facts : {machine, versions}) {
    for (const auto& [name, value] : facts) {
      std::printf("%-12s %s\n", name.c_str(), value.c_str());
    }
  }
  std::printf("\n%-44s %9s %9s %9s %9s %6s  %s\n", "us, or requests/s",
              "median", "q1", "q3", "p99", "ratio", "aim");
}

void PrintRows(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    std::printf("%-44s %9.1f %9.1f %9.1f %9.1f ", row.name.c_str(),
                row.summary.median, row.summary.q1, row.summary.q3,
                row.summary.p99);
    if (row.ratio) {
      std::printf("%6.2f  %-14s x %s", *row.ratio, FormatAim(row).c_str(),
                  WithoutSharedFolders(row.reference, row.name).c_str());
    }
    std::printf("\n");
  }
  const std::string note = DisturbedNote(rows);
  if (!note.empty()) std::printf("  (%s)\n", note.c_str());
  std::printf("\n");
  std::fflush(stdout);
}

}  // namespace forkserver::benchmark
