#include "tools/forkserver/top_table.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tools/terminal/text_safety.h"

namespace forkserver::cli {
namespace {

TopRow Row(const std::string& name, double cpu, std::int64_t memory,
           std::int64_t restarts) {
  TopRow row;
  row.kind = "service";
  row.name = name;
  row.id = "k3x9-" + name;
  row.pid = 4711;
  row.state = "running";
  row.cpu_percent = cpu;
  row.memory_bytes = memory;
  row.restarts = restarts;
  return row;
}

std::vector<TopRow> ThreeRows() {
  return {Row("web", 3, 500 << 10, 9), Row("db", 120.25, 40 << 20, 0),
          Row("cache", 3, 3ll << 30, 1)};
}

TerminalLook Look(int columns, int rows) {
  TerminalLook look;
  look.live = true;
  look.utf8 = true;
  look.columns = columns;
  look.rows = rows;
  return look;
}

// The first word of each line below the heading, up to the first empty one.
std::vector<std::string> Names(TopTable& table, int rows = 20) {
  std::vector<std::string> names;
  bool below = false;
  for (const std::string& line : table.Lines(Look(100, rows))) {
    const std::string word = line.substr(0, line.find(' '));
    if (below && word.empty()) break;
    if (below) names.push_back(word);
    below = below || word == "NAME";
  }
  return names;
}

TopTable TableOf(std::vector<TopRow> rows) {
  TopTable table("forkserverd 1.0, pid 1");
  table.Show(std::move(rows));
  return table;
}

using Strings = std::vector<std::string>;

TEST_CASE("rows are sorted by CPU, and by what a key says") {
  TopTable table = TableOf(ThreeRows());
  CHECK(Names(table) == Strings{"db", "cache", "web"});
  CHECK(table.OnKeys("m"));
  CHECK(Names(table) == Strings{"cache", "db", "web"});
  CHECK(table.OnKeys("r"));
  CHECK(Names(table) == Strings{"web", "cache", "db"});
  CHECK(table.OnKeys("n"));
  CHECK(Names(table) == Strings{"cache", "db", "web"});
  CHECK(table.OnKeys("c"));
  CHECK(Names(table) == Strings{"db", "cache", "web"});
  // What is not known comes last.
  std::vector<TopRow> rows = ThreeRows();
  rows[1].cpu_percent.reset();
  table.Show(std::move(rows));
  CHECK(Names(table) == Strings{"cache", "web", "db"});
}

TEST_CASE("a line tells everything of a row") {
  TopTable table = TableOf(ThreeRows());
  const auto lines = table.Lines(Look(100, 8));
  CHECK(
      lines[0].starts_with("forkserverd 1.0, pid 1: 3 services, 0 workers, "
                           "0 zygotes; CPU 126.2%, memory 3.0G "));
  CHECK(
      lines[1].starts_with("NAME    CPU%  MEMORY  RESTARTS  KIND     STATE "
                           "    PID  ID"));
  CHECK(
      lines[2].starts_with("db     120.2   40.0M         0  service  running"
                           "  4711  k3x9-db"));
  CHECK(lines[4].starts_with("web      3.0    500K         9  service  "));
  CHECK(lines[7].starts_with("sorted by CPU; c CPU, m memory, "));
}

TEST_CASE("whatever the size, each line is as wide as the terminal") {
  std::vector<TopRow> rows = ThreeRows();
  // Two columns a letter; control characters; no UTF-8.
  rows.push_back(Row("\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E", 1, 1, 1));
  rows.push_back(Row("a\x1b[2Jb\nc\xFF", 1, 1, 1));
  rows.push_back(Row(std::string(128, 'x'), 1, 1, 1));
  TopTable table = TableOf(std::move(rows));
  for (int rows_of_terminal = 1; rows_of_terminal < 12; ++rows_of_terminal) {
    for (int columns = 1; columns < 180; ++columns) {
      const auto lines = table.Lines(Look(columns, rows_of_terminal));
      REQUIRE(lines.size() == static_cast<std::size_t>(rows_of_terminal));
      for (const std::string& line : lines) {
        CAPTURE(line);
        CAPTURE(columns);
        REQUIRE(DisplayWidth(line) == columns);
        REQUIRE(line.find_first_of("\x1b\n") == line.npos);
      }
    }
  }
}

TEST_CASE("the least of terminals shows the first row") {
  TopTable table = TableOf(ThreeRows());
  CHECK(table.Lines(Look(3, 1)) == Strings{"db "});
  CHECK(table.Lines(Look(10, 3)) ==
        Strings{"NAME      ", "db        ", "cache     "});
  CHECK(table.Lines(Look(13, 3))[1] == "db     120.2 ");
}

TEST_CASE("keys scroll, and not beyond the ends") {
  std::vector<TopRow> rows;
  for (char c = 'a'; c <= 'j'; ++c) rows.push_back(Row({c}, 0, 0, 0));
  TopTable table = TableOf(std::move(rows));
  // Seven lines: four of them are rows.
  CHECK(Names(table, 7).front() == "a");
  const auto first_after = [&](const char* keys) {
    CHECK(table.OnKeys(keys));
    return Names(table, 7).front();
  };
  CHECK(first_after("k") == "a");
  CHECK(first_after("j") == "b");
  CHECK(table.Lines(Look(100, 7))[6].starts_with("sorted by CPU; 2-5 of 10; "));
  CHECK(first_after("\x1b[B\x1bOB") == "d");
  CHECK(first_after("\x1b[A") == "c");
  CHECK(first_after("\x1b[6~") == "g");
  CHECK(first_after("jjjj") == "g");
  CHECK(first_after("\x1b[5~") == "c");
  // In two parts, as a slow line brings it.
  CHECK(first_after("\x1b") == "c");
  CHECK(first_after("[") == "c");
  CHECK(first_after("A") == "b");
  // There is room for all of them.
  CHECK(Names(table, 20).front() == "a");
  CHECK(first_after("jj") == "a");
  CHECK(first_after("jj") == "c");
  CHECK(first_after("m") == "a");
}

TEST_CASE("rows that are gone leave no gap") {
  std::vector<TopRow> rows;
  for (char c = 'a'; c <= 'j'; ++c) rows.push_back(Row({c}, 0, 0, 0));
  TopTable table = TableOf(std::move(rows));
  (void)Names(table, 7);
  CHECK(table.OnKeys("jjjjjj"));
  table.Show(ThreeRows());
  CHECK(Names(table, 7) == Strings{"db", "cache", "web"});
  table.Show({});
  CHECK(table.Lines(Look(12, 3))[1] == "nothing runs");
}

TEST_CASE("q ends it, and what means nothing does nothing") {
  TopTable table = TableOf(ThreeRows());
  CHECK(table.OnKeys("xyz\x01 \x1b[C\x1b[1;5D"));
  CHECK_FALSE(table.OnKeys("q"));
  TopTable other = TableOf(ThreeRows());
  // Escape, and then q.
  CHECK(other.OnKeys("\x1b"));
  CHECK_FALSE(other.OnKeys("q"));
}

}  // namespace
}  // namespace forkserver::cli
