#include "tools/benchmark/compare.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

namespace forkserver::benchmark {
namespace {

// `spread` is what lies between the quartiles, as a share of the median.
Row MakeRow(const std::string& way, double median, double spread,
            std::size_t samples = 1000) {
  Row row;
  row.name = "case/" + way;
  row.group = "case";
  row.unit = kMicroseconds;
  row.summary.samples = samples;
  row.summary.median = median;
  row.summary.q1 = median * (1 - spread / 2);
  row.summary.q3 = median * (1 + spread / 2);
  return row;
}

Row Against(const Row& reference, Row row) {
  row.reference = reference.name;
  row.ratio = row.summary.median / reference.summary.median;
  return row;
}

Change OnlyChange(const Figures& before, const Figures& now) {
  auto changes = Compare(before, now);
  REQUIRE(changes);
  REQUIRE(changes->size() == 1);
  return changes->front();
}

Figures FiguresOf(std::vector<Row> rows) {
  Figures figures;
  figures.rows = std::move(rows);
  return figures;
}

Finding FindingOf(const Row& before, const Row& now) {
  return OnlyChange(FiguresOf({before}), FiguresOf({now})).finding;
}

TEST_CASE("a change within the spread is noise, a larger one is not") {
  const Row before = MakeRow("a", 100, 0.1);
  CHECK(FindingOf(before, MakeRow("a", 105, 0.1)) == Finding::kNoise);
  CHECK(FindingOf(before, MakeRow("a", 95, 0.1)) == Finding::kNoise);
  CHECK(FindingOf(before, MakeRow("a", 115, 0.1)) == Finding::kBeyondNoise);
  CHECK(FindingOf(before, MakeRow("a", 85, 0.1)) == Finding::kBeyondNoise);
}

TEST_CASE("the noise is that of both runs, in quadrature") {
  // Of 10,000 samples with a spread of 10 %: 0.1 * (0.5 + 1.58 / 100).
  const Figures one = FiguresOf({MakeRow("a", 100, 0.1, 10'000)});
  const Figures exact = FiguresOf({MakeRow("a", 110, 0, 10'000)});
  const Change change = OnlyChange(one, exact);
  CHECK(change.before == 100);
  CHECK(change.now == 110);
  CHECK(change.change == doctest::Approx(0.1));
  CHECK(change.noise == doctest::Approx(0.05158));
  CHECK(OnlyChange(one, one).noise == doctest::Approx(0.05158 * 1.41421356));
}

TEST_CASE("a change that is clear of many samples is noise of few") {
  CHECK(FindingOf(MakeRow("a", 100, 0.1, 1000), MakeRow("a", 112, 0.1, 1000)) ==
        Finding::kBeyondNoise);
  CHECK(FindingOf(MakeRow("a", 100, 0.1, 12), MakeRow("a", 112, 0.1, 12)) ==
        Finding::kNoise);
}

TEST_CASE("too few samples, on either side, tell nothing") {
  const Row many = MakeRow("a", 100, 0.1, kFewestSamples);
  const Row few = MakeRow("a", 900, 0.1, kFewestSamples - 1);
  CHECK(FindingOf(many, few) == Finding::kCannotTell);
  CHECK(FindingOf(few, many) == Finding::kCannotTell);
}

TEST_CASE("a median that is not above 0 tells nothing") {
  CHECK(FindingOf(MakeRow("a", -2, 0), MakeRow("a", 100, 0)) ==
        Finding::kCannotTell);
}

TEST_CASE("where there are ratios, it is they that are compared") {
  const Row slow = MakeRow("bare", 200, 0.01);
  const Row fast = MakeRow("bare", 100, 0.01);
  const Figures before =
      FiguresOf({slow, Against(slow, MakeRow("a", 400, 0.01))});
  const Figures now = FiguresOf({fast, Against(fast, MakeRow("a", 200, 0.01))});
  auto changes = Compare(before, now);
  REQUIRE(changes);
  REQUIRE(changes->size() == 2);
  CHECK((*changes)[0].finding == Finding::kBeyondNoise);  // bare, in us
  CHECK((*changes)[1].reference == "case/bare");
  CHECK((*changes)[1].before == 2);
  CHECK((*changes)[1].now == 2);
  CHECK((*changes)[1].finding == Finding::kNoise);
}

TEST_CASE("the spread of the reference is noise of a ratio") {
  const auto figures = [](double median, double spread_of_reference) {
    const Row bare = MakeRow("bare", 100, spread_of_reference);
    return FiguresOf({bare, Against(bare, MakeRow("a", median, 0.01))});
  };
  const auto finding = [](const Figures& before, const Figures& now) {
    auto changes = Compare(before, now);
    REQUIRE(changes);
    return changes->back().finding;
  };
  CHECK(finding(figures(200, 0.01), figures(220, 0.01)) ==
        Finding::kBeyondNoise);
  CHECK(finding(figures(200, 0.3), figures(220, 0.3)) == Finding::kNoise);
}

TEST_CASE("a row is compared with the one of the same reference") {
  const Row one = MakeRow("one", 100, 0.01);
  const Row two = MakeRow("two", 50, 0.01);
  const Row way = MakeRow("a", 200, 0.01);
  const Figures before = FiguresOf({one, two, Against(one, way)});
  const Figures now = FiguresOf({one, two, Against(two, way)});
  auto changes = Compare(before, now);
  REQUIRE(changes);
  REQUIRE(changes->size() == 4);
  CHECK((*changes)[2].finding == Finding::kOnlyNow);
  CHECK((*changes)[3].finding == Finding::kOnlyBefore);
}

TEST_CASE("an aim that is met no more is told") {
  const Row bare = MakeRow("bare", 100, 0.01);
  Row good = Against(bare, MakeRow("a", 110, 0.01));
  good.aim = Aim{1.2};
  Row bad = Against(bare, MakeRow("a", 130, 0.01));
  bad.aim = Aim{1.2};
  auto changes = Compare(FiguresOf({bare, good}), FiguresOf({bare, bad}));
  REQUIRE(changes);
  CHECK(changes->back().aim == "MISSED, was met");
  changes = Compare(FiguresOf({bare, bad}), FiguresOf({bare, good}));
  REQUIRE(changes);
  CHECK(changes->back().aim == "met, was missed");
  changes = Compare(FiguresOf({bare, good}), FiguresOf({bare, good}));
  REQUIRE(changes);
  CHECK(changes->back().aim.empty());
}

TEST_CASE("runs without a common row cannot be compared") {
  CHECK_FALSE(Compare(FiguresOf({MakeRow("a", 1, 0)}),
                      FiguresOf({MakeRow("b", 1, 0)})));
}

TEST_CASE("another machine and disturbed samples are doubts") {
  Figures before = FiguresOf({MakeRow("a", 100, 0.1)});
  before.machine = {{"cpu", "fast"}, {"cores", "2"}, {"date", "yesterday"}};
  Figures now = before;
  now.machine.back().second = "today";
  CHECK(Doubts(before, now).empty());
  now.machine.front().second = "slow";
  now.rows.front().summary.disturbed = 500;
  CHECK(Doubts(before, now) ==
        std::vector<std::string>{
            "another cpu: slow, was fast",
            "now, other processes ran during 50 % of these samples"});
}

}  // namespace
}  // namespace forkserver::benchmark
