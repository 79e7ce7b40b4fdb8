#include "tools/harness/report/progress_lines.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

namespace forkserver::harness {
namespace {

TerminalLook Look(int columns, bool utf8 = true) {
  TerminalLook look;
  look.live = true;
  look.utf8 = utf8;
  look.columns = columns;
  look.rows = 24;
  return look;
}

Progress Halfway() {
  Progress progress;
  progress.planned = 5000;
  progress.tally = {
      .ended = 2500, .passed = 2490, .skipped = 3, .flaky = 1, .bad = 7};
  progress.elapsed_us = 75'000'000;
  progress.left_us = 80'000'000;
  progress.running = {{"render_test::a huge scene", 12'300'000, 1, true},
                      {"tests/a.py::TestÄ::東京", 800'000, 2, false}};
  return progress;
}

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("a wide terminal shows everything") {
  const auto lines = ProgressLines(Halfway(), Look(140));
  REQUIRE(lines.size() == 3);
  for (const char* part : {"━", "2,500/5,000", "7 failed", "2,490 passed",
                           "1 flaky", "3 skipped", "1:15", "about 1:20 left"}) {
    CAPTURE(part);
    CHECK(Has(lines[0], part));
  }
  CHECK(lines[1] == "  12.3s  SLOW render_test::a huge scene");
  CHECK(lines[2] == " 0.800s  attempt 2 tests/a.py::TestÄ::東京");
}

TEST_CASE("half of the bar is filled halfway") {
  Progress progress = Halfway();
  progress.tally.ended = 2500;
  const std::string line = ProgressLines(progress, Look(140, false))[0];
  CHECK(Has(line, "[" + std::string(16, '=') + std::string(16, '-') + "]"));
}

TEST_CASE("a narrow terminal shows what matters") {
  const auto lines = ProgressLines(Halfway(), Look(20));
  CHECK(lines[0] == "2500/5000  7 failed");
  CHECK(lines[1] == "  12.3s  ren… scene");
  // Not even room for that.
  CHECK(ProgressLines(Halfway(), Look(14))[0] == "2500/5000  ✗7");
}

TEST_CASE("no line is wider than the terminal, whatever its width") {
  Progress progress = Halfway();
  progress.running.push_back(
      {"\x1b[2J\n東京東京東京東京東京東京東京", 1, 3, true});
  for (const bool utf8 : {true, false}) {
    for (int columns = 1; columns < 200; ++columns) {
      CAPTURE(columns);
      for (const std::string& line :
           ProgressLines(progress, Look(columns, utf8))) {
        CHECK(DisplayWidth(line) < columns);
        CHECK(line.find('\n') == std::string::npos);
        CHECK(line.find('\x1b') == std::string::npos);
      }
    }
  }
}

TEST_CASE("without UTF-8 there is nothing but ASCII") {
  for (const std::string& line : ProgressLines(Halfway(), Look(140, false))) {
    CHECK(std::all_of(line.begin(), line.end(),
                      [](char c) { return c >= ' ' && c < '\x7f'; }));
  }
}

TEST_CASE("more running tests than there is room for are counted") {
  Progress progress = Halfway();
  progress.running.assign(20, {"t", 1'000'000, 1, false});
  auto lines = ProgressLines(progress, Look(80));
  CHECK(lines.size() == 9);
  CHECK(Has(lines.back(), "and 13 more"));
  // As many as fit are not counted but shown.
  progress.running.resize(8);
  lines = ProgressLines(progress, Look(80));
  CHECK(lines.size() == 9);
  CHECK_FALSE(Has(lines.back(), "more"));
  // A low terminal.
  TerminalLook low = Look(80);
  low.rows = 6;
  CHECK(ProgressLines(progress, low).size() == 3);
  low.rows = 2;
  CHECK(ProgressLines(progress, low).size() == 1);
}

TEST_CASE("a run that nobody knows the end of has a count and no bar") {
  Progress progress = Halfway();
  progress.planned = 0;
  const std::string line = ProgressLines(progress, Look(140))[0];
  CHECK(line.starts_with("2,500  7 failed"));
  CHECK(ProgressLogLine(progress, Look(80)).starts_with("1:15  2,500 tests"));
  CHECK(ProgressLines(progress, Look(14))[0] == "2500  ✗7");
}

TEST_CASE("colours do not change what is said, and end") {
  TerminalLook look = Look(140);
  look.colors = true;
  const auto plain = ProgressLines(Halfway(), Look(140));
  const auto colored = ProgressLines(Halfway(), look);
  CHECK(SafeForTerminal(colored[1], {}) == plain[1]);
  CHECK(colored[0].ends_with("\x1b[0m"));
}

TEST_CASE("a log's line names what has been running for longest") {
  Progress progress = Halfway();
  CHECK(ProgressLogLine(progress, Look(80)) ==
        "1:15  2,500/5,000 tests, 7 failed; running: render_test::a huge scene "
        "(12.3s), tests/a.py::TestÄ::東京 (0.800s)");
  progress.running.assign(5, {"t", 1'000'000, 1, false});
  CHECK(Has(ProgressLogLine(progress, Look(80)), " and 2 more"));
}

}  // namespace
}  // namespace forkserver::harness
