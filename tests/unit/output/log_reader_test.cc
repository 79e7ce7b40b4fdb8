#include "tools/forkserver/log_reader.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/log/log_line.h"
#include "server/output/log_file.h"
#include "tests/unit/leftovers.h"
#include "tests/unit/output/log_folder.h"
#include "tools/forkserver/json.h"

namespace forkserver::cli {
namespace {

using server::LogFile;
using testing::LogFolder;
using testing::NoLeftovers;

constexpr std::int64_t kSomeTime = 1'795'365'206'123'456;

std::string LineAt(std::int64_t time_us, std::string_view text) {
  std::string line;
  AppendLogLine(line, FormatLogTime(time_us), LogStream::kOut, false, text);
  return line;
}

void Append(LogFile& file, std::string_view text) {
  REQUIRE(file.Append(LineAt(kSomeTime, text), {}));
}

std::vector<std::string> ReadTexts(LogReader& reader) {
  std::vector<std::string> texts;
  const auto read =
      reader.Read([&](const LogLine& line) { texts.push_back(line.text); });
  REQUIRE_MESSAGE(read, read.error().ToString());
  return texts;
}

using Texts = std::vector<std::string>;

TEST_CASE("what was rotated is shown first") {
  const NoLeftovers no_leftovers;
  const LogFolder folder;
  const std::string path = folder.File("log");
  LogFile file(path, {1, 12});
  Texts expected;
  for (int i = 0; i < 12; ++i) {
    Append(file, std::to_string(i));
    expected.push_back(std::to_string(i));
  }
  LogReader reader(path, {});
  CHECK(ReadTexts(reader) == expected);
  CHECK(ReadTexts(reader).empty());
}

TEST_CASE("a log is followed across rotations, in steps of any size") {
  const NoLeftovers no_leftovers;
  for (int step = 1; step < 8; ++step) {
    CAPTURE(step);
    const LogFolder folder;
    const std::string path = folder.File("log");
    // Two lines in a file.
    LogFile file(path, {80, 6});
    Append(file, "0");
    LogReader reader(path, {});
    CHECK(ReadTexts(reader) == Texts{"0"});
    Texts seen;
    Texts expected;
    for (int i = 1; i < 50; ++i) {
      Append(file, std::to_string(i));
      expected.push_back(std::to_string(i));
      if (i % step != 0) continue;
      for (const std::string& text : ReadTexts(reader)) seen.push_back(text);
    }
    for (const std::string& text : ReadTexts(reader)) seen.push_back(text);
    CHECK(seen == expected);
  }
}

TEST_CASE("a log that is written and rotated all the time is read whole") {
  const NoLeftovers no_leftovers;
  const LogFolder folder;
  const std::string path = folder.File("log");
  constexpr int kLines = 2000;
  LogFile file(path, {2000, 100});
  Append(file, "0");
  LogReader reader(path, {});
  const pid_t writer = ::fork();
  REQUIRE(writer >= 0);
  if (writer == 0) {
    for (int i = 1; i < kLines; ++i) {
      if (!file.Append(LineAt(kSomeTime, std::to_string(i)), {})) ::_exit(1);
    }
    ::_exit(0);
  }
  int next = 0;
  int status = -1;
  bool ended = false;
  while (!ended) {
    ended = ::waitpid(writer, &status, WNOHANG) == writer;
    for (const std::string& text : ReadTexts(reader)) {
      CHECK(text == std::to_string(next++));
    }
  }
  CHECK(status == 0);
  CHECK(next == kLines);
}

TEST_CASE("a reader that was left behind goes on with the oldest file") {
  const LogFolder folder;
  const std::string path = folder.File("log");
  LogFile file(path, {1, 2});
  Append(file, "first");
  LogReader reader(path, {});
  CHECK(ReadTexts(reader) == Texts{"first"});
  for (const char* text : {"gone", "gone too", "third", "fourth"}) {
    Append(file, text);
  }
  CHECK(ReadTexts(reader) == Texts{"third", "fourth"});
}

TEST_CASE("what others do to the files") {
  const NoLeftovers no_leftovers;
  const LogFolder folder;
  const std::string path = folder.File("log");
  LogFile file(path, {1 << 20, 3});
  Append(file, "first line");
  LogReader reader(path, {});
  CHECK(ReadTexts(reader) == Texts{"first line"});
  SUBCASE("truncated") {
    std::filesystem::resize_file(path, 0);
    Append(file, "short");
    CHECK(ReadTexts(reader) == Texts{"short"});
  }
  SUBCASE("removed, and made again") {
    std::filesystem::remove(path);
    CHECK(ReadTexts(reader).empty());
    Append(file, "second");
    CHECK(ReadTexts(reader) == Texts{"second"});
  }
  SUBCASE("something else in it") {
    std::ofstream(path, std::ios::app) << "by hand\n" << LineAt(7, "ours");
    std::vector<LogLine> lines;
    CHECK(reader.Read([&](const LogLine& line) { lines.push_back(line); }));
    REQUIRE(lines.size() == 2);
    CHECK(lines[0].text == "by hand");
    CHECK(lines[0].stream == LogStream::kLog);
    CHECK(lines[0].time_us == kSomeTime);
    CHECK(lines[1].text == "ours");
  }
  SUBCASE("a line without an end") {
    std::ofstream(path, std::ios::app) << "no newline";
    CHECK(ReadTexts(reader).empty());
    std::ofstream(path, std::ios::app) << " yet\n";
    CHECK(ReadTexts(reader) == Texts{"no newline yet"});
    std::ofstream(path, std::ios::app) << "never";
    std::filesystem::rename(path, path + ".1");
    Append(file, "next file");
    CHECK(ReadTexts(reader) == Texts{"never", "next file"});
  }
  SUBCASE("a line of 10 MB") {
    std::ofstream(path, std::ios::app) << std::string(10 << 20, 'x') << "\n";
    std::size_t bytes = 0;
    bool ended = false;
    CHECK(reader.Read([&](const LogLine& line) {
      CHECK(line.text.size() <= kMaxLogTextBytes + kMaxLogPrefixBytes);
      bytes += line.text.size();
      ended = !line.continued;
    }));
    CHECK(bytes == 10 << 20);
    CHECK(ended);
  }
}

TEST_CASE("no file is an error, until there is one") {
  const NoLeftovers no_leftovers;
  const LogFolder folder;
  const std::string path = folder.File("log");
  LogReader reader(path, {});
  const auto read = reader.Read([](const LogLine&) {});
  REQUIRE(!read);
  CHECK(read.error().message ==
        "open(" + path + "): No such file or directory");
  std::filesystem::create_directory(path);
  CHECK(reader.Read([](const LogLine&) {}).error().message ==
        path + " is no regular file");
  std::filesystem::remove(path);
  LogFile file(path, {1 << 20, 3});
  Append(file, "first");
  CHECK(ReadTexts(reader) == Texts{"first"});
}

TEST_CASE("the last lines, and then all that follow") {
  const LogFolder folder;
  const std::string path = folder.File("log");
  LogFile file(path, {1, 3});
  for (const char* text : {"1", "2", "3"}) Append(file, text);
  for (const std::size_t count : {0, 1, 2, 3, 4}) {
    CAPTURE(count);
    LogReader reader(path, {.since_us = {}, .last_lines = count});
    CHECK(ReadTexts(reader).size() == std::min<std::size_t>(count, 3));
  }
  LogReader reader(path, {.since_us = {}, .last_lines = 2});
  CHECK(ReadTexts(reader) == Texts{"2", "3"});
  Append(file, "4");
  Append(file, "5");
  Append(file, "6");
  CHECK(ReadTexts(reader) == Texts{"4", "5", "6"});
}

TEST_CASE("since a time, although the clock is set back later") {
  const LogFolder folder;
  const std::string path = folder.File("log");
  std::ofstream file(path);
  file << LineAt(10, "old") << LineAt(20, "new") << LineAt(5, "set back")
       << std::flush;
  LogReader reader(path, {.since_us = 20, .last_lines = {}});
  CHECK(ReadTexts(reader) == Texts{"new", "set back"});
  file << LineAt(6, "still") << std::flush;
  CHECK(ReadTexts(reader) == Texts{"still"});

  LogReader later(path, {.since_us = 30, .last_lines = {}});
  CHECK(ReadTexts(later).empty());
  file << LineAt(31, "at last") << std::flush;
  CHECK(ReadTexts(later) == Texts{"at last"});
}

TEST_CASE("a time is a duration back or a date") {
  CHECK(*ParseSince("10m", kSomeTime) == kSomeTime - 600'000'000);
  CHECK(*ParseSince("1.5", kSomeTime) == kSomeTime - 1'500'000);
  for (const char* text :
       {"2026-11-22T16:33:26.123456Z", "2026-11-22 16:33:26.123456"}) {
    CHECK(*ParseSince(text, 0) == kSomeTime);
  }
  CHECK(FormatLogTime(*ParseSince("2026-11-22T16:33:26.1", 0)) ==
        "2026-11-22T16:33:26.100000Z");
  CHECK(FormatLogTime(*ParseSince("2026-11-22 16:33", 0)) ==
        "2026-11-22T16:33:00.000000Z");
  CHECK(FormatLogTime(*ParseSince("2026-11-22", 0)) ==
        "2026-11-22T00:00:00.000000Z");
  for (const char* text :
       {"", "yesterday", "-1s", "2026-11", "2026-11-22T", "2026-11-22T16",
        "2026-02-30", "2026-11-22T16:33:", "2026-11-22T16:33:26.1234567Z"}) {
    CAPTURE(text);
    const auto since = ParseSince(text, kSomeTime);
    REQUIRE(!since);
    CHECK(since.error().code == error_code::kBadRequest);
  }
}

TEST_CASE("a line as JSON is one line, and UTF-8, whatever is in it") {
  CHECK(ToJson(LogLine{kSomeTime, LogStream::kErr, true,
                       std::string("a\"\0\xff\r", 5)}) ==
        "{\"time\":\"2026-11-22T16:33:26.123456Z\",\"stream\":\"err\","
        "\"continued\":true,\"text\":\"a\\\"\\u0000\xef\xbf\xbd\\r\"}");
}

}  // namespace
}  // namespace forkserver::cli
