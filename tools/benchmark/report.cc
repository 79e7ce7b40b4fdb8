#include "tools/benchmark/report.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>

namespace forkserver::benchmark {
namespace {

using Json = nlohmann::ordered_json;

std::string CpuModel() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) != 0) continue;
    const std::size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  utsname system = {};
  ::uname(&system);
  return system.machine;
}

std::string Today() {
  const std::time_t now = std::time(nullptr);
  std::tm parts = {};
  ::gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

const Series* FindSeries(const std::vector<Series>& all,
                         const std::string& name) {
  const auto found =
      std::find_if(all.begin(), all.end(),
                   [&name](const Series& each) { return each.name == name; });
  return found == all.end() ? nullptr : &*found;
}

// "forked/warm/fork/exit" beside "forked/warm/forkserverd/exit" is "fork/exit".
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

}  // namespace

bool Row::met() const {
  if (!aim || !ratio) return false;
  return aim->at_least ? *ratio >= aim->value : *ratio <= aim->value;
}

std::vector<Row> MakeRows(const std::string& prefix,
                          const std::vector<Series>& all,
                          const std::vector<Comparison>& comparisons,
                          const char* unit) {
  const bool rate = std::strcmp(unit, kRequestsPerSecond) == 0;
  std::vector<Row> rows;
  const auto add = [&](const std::string& name) -> Row* {
    const Series* const series = FindSeries(all, name);
    if (series == nullptr) return nullptr;
    Row row;
    row.name = prefix + name;
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

Facts DescribeMachine() {
  utsname system = {};
  ::uname(&system);
  return {{"cpu", CpuModel()},
          {"cores", std::to_string(::sysconf(_SC_NPROCESSORS_ONLN))},
          {"kernel", std::string(system.sysname) + " " + system.release},
          {"date", Today()}};
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
  std::size_t samples = 0;
  std::size_t disturbed = 0;
  for (const Row& row : rows) {
    samples += row.summary.samples;
    disturbed += row.summary.disturbed;
  }
  if (disturbed * 10 > samples) {
    std::printf("  (other processes ran during %zu %% of these samples)\n",
                disturbed * 100 / samples);
  }
  std::printf("\n");
  std::fflush(stdout);
}

bool WriteJson(const std::string& path, const Facts& machine,
               const Facts& versions, const std::vector<Row>& rows) {
  Json document;
  for (const auto& [name, value] : machine) document["machine"][name] = value;
  document["machine"]["cores"] = ::sysconf(_SC_NPROCESSORS_ONLN);
  for (const auto& [name, value] : versions) document["versions"][name] = value;
  document["cases"] = Json::array();
  for (const Row& row : rows) {
    Json one;
    one["name"] = row.name;
    one["unit"] = row.unit;
    one["samples"] = row.summary.samples;
    one["disturbed"] = row.summary.disturbed;
    one["median"] = row.summary.median;
    one["p99"] = row.summary.p99;
    one["q1"] = row.summary.q1;
    one["q3"] = row.summary.q3;
    one["reference"] = row.reference.empty() ? Json() : Json(row.reference);
    one["ratio"] = row.ratio ? Json(*row.ratio) : Json();
    one["aim"] = Json();
    one["met"] = Json();
    if (row.aim) {
      one["aim"] = {{"kind", row.aim->at_least ? "at_least" : "at_most"},
                    {"value", row.aim->value}};
      one["met"] = row.met();
    }
    document["cases"].push_back(std::move(one));
  }
  std::ofstream file(path);
  file << document.dump(2) << '\n';
  file.close();
  if (file) return true;
  std::fprintf(stderr, "benchmark: %s cannot be written: %s\n", path.c_str(),
               std::strerror(errno));
  return false;
}

}  // namespace forkserver::benchmark
