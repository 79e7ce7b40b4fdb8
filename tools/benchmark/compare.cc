#include "tools/benchmark/compare.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace forkserver::benchmark {
namespace {

const Row* FindRow(const Figures& figures, const std::string& name) {
  for (const Row& row : figures.rows) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

// The row that was compared with the same.
const Row* FindSame(const Figures& figures, const Row& like) {
  for (const Row& row : figures.rows) {
    if (row.name == like.name && row.reference == like.reference) return &row;
  }
  return nullptr;
}

// What a ratio, or a median, was made of.
std::vector<Summary> MadeOf(const Figures& figures, const Row& row) {
  std::vector<Summary> all = {row.summary};
  if (!row.ratio) return all;
  if (const Row* const reference = FindRow(figures, row.reference)) {
    all.push_back(reference->summary);
  }
  return all;
}

// How far a median may be off, as a share of it. Half of what lies between the
// quartiles stands for the drift of the machine, which more samples do not
// make less; the rest is the confidence interval of a median (the notch of a
// box plot: 1.58 / sqrt(n)), which they do.
double Margin(const Summary& summary) {
  return (summary.q3 - summary.q1) / summary.median *
         (0.5 + 1.58 / std::sqrt(static_cast<double>(summary.samples)));
}

Change ChangeOf(const Figures& before, const Row& row_before,
                const Figures& now, const Row& row_now) {
  const bool ratios = row_before.ratio && row_now.ratio;
  Change change;
  change.name = row_now.name;
  change.unit = row_now.unit;
  if (ratios) change.reference = row_now.reference;
  change.before = ratios ? *row_before.ratio : row_before.summary.median;
  change.now = ratios ? *row_now.ratio : row_now.summary.median;
  if (row_before.aim && row_now.aim && row_before.met() != row_now.met()) {
    change.aim = row_now.met() ? "met, was missed" : "MISSED, was met";
  }
  std::vector<Summary> parts = MadeOf(before, row_before);
  const std::vector<Summary> more = MadeOf(now, row_now);
  parts.insert(parts.end(), more.begin(), more.end());
  double squares = 0;
  for (const Summary& part : parts) {
    if (part.samples < kFewestSamples || part.median <= 0) return change;
    squares += Margin(part) * Margin(part);
  }
  change.change = change.now / change.before - 1;
  change.noise = std::sqrt(squares);
  // As shares of each other: a doubling and a halving are the same.
  change.finding = std::abs(std::log(change.now / change.before)) > change.noise
                       ? Finding::kBeyondNoise
                       : Finding::kNoise;
  return change;
}

Change OnlyIn(const Row& row, Finding finding) {
  Change change;
  change.name = row.name;
  change.unit = row.unit;
  change.reference = row.reference;
  change.finding = finding;
  return change;
}

const char* Words(Finding finding) {
  switch (finding) {
    case Finding::kNoise:
      return "noise";
    case Finding::kBeyondNoise:
      return "BEYOND";
    case Finding::kCannotTell:
      return "too few samples";
    case Finding::kOnlyBefore:
      return "only before";
    case Finding::kOnlyNow:
      return "only now";
  }
  return "";
}

}  // namespace

Result<std::vector<Change>> Compare(const Figures& before, const Figures& now) {
  std::vector<Change> changes;
  bool common = false;
  for (const Row& row : now.rows) {
    const Row* const same = FindSame(before, row);
    common = common || same != nullptr;
    changes.push_back(same == nullptr ? OnlyIn(row, Finding::kOnlyNow)
                                      : ChangeOf(before, *same, now, row));
  }
  for (const Row& row : before.rows) {
    if (FindSame(now, row) == nullptr) {
      changes.push_back(OnlyIn(row, Finding::kOnlyBefore));
    }
  }
  if (common) return changes;
  return MakeError(error_code::kSystem, "the two have no case in common");
}

std::vector<std::string> Doubts(const Figures& before, const Figures& now) {
  std::vector<std::string> doubts;
  for (const char* name : {"cpu", "cores", "kernel"}) {
    const std::string was = FactOf(before.machine, name);
    const std::string is = FactOf(now.machine, name);
    if (was == is) continue;
    doubts.push_back(std::string("another ") + name + ": " + is + ", was " +
                     was);
  }
  const std::string was = DisturbedNote(before.rows);
  const std::string is = DisturbedNote(now.rows);
  if (!was.empty()) doubts.push_back("before, " + was);
  if (!is.empty()) doubts.push_back("now, " + is);
  return doubts;
}

void PrintChanges(const std::vector<Change>& changes) {
  std::printf("%-58s %9s %9s %9s %8s\n", "ratio, or median", "before", "now",
              "change", "noise");
  for (const Change& change : changes) {
    std::string name = change.name;
    if (!change.reference.empty()) {
      name += " x " + WithoutSharedFolders(change.reference, change.name);
    }
    std::printf("%-58s ", name.c_str());
    const bool both = change.finding != Finding::kOnlyBefore &&
                      change.finding != Finding::kOnlyNow;
    if (both) {
      std::printf(change.reference.empty() ? "%9.1f %9.1f " : "%9.2f %9.2f ",
                  change.before, change.now);
    }
    if (both && change.finding != Finding::kCannotTell) {
      std::printf("%+7.1f %% %6.1f %%", change.change * 100,
                  change.noise * 100);
    }
    std::printf("  %s", Words(change.finding));
    if (!change.aim.empty()) std::printf("  %s", change.aim.c_str());
    std::printf("\n");
  }
  const auto beyond =
      std::count_if(changes.begin(), changes.end(), [](const Change& change) {
        return change.finding == Finding::kBeyondNoise;
      });
  std::printf("%td of %zu changed beyond the noise\n", beyond, changes.size());
}

}  // namespace forkserver::benchmark
