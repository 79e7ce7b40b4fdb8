#include "sdk/log/log_line.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace forkserver {
namespace {

constexpr std::int64_t kSomeTime = 1'795'365'206'123'456;
constexpr char kSomeTimeText[] = "2026-11-22T16:33:26.123456Z";

TEST_CASE("a time is read as it was written") {
  CHECK(FormatLogTime(kSomeTime) == kSomeTimeText);
  for (const std::int64_t time :
       {std::int64_t{0}, std::int64_t{1}, kSomeTime,
        std::int64_t{951'868'799'999'999} /* 29 February 2000 */,
        std::int64_t{253'402'300'799'999'999}}) {
    CAPTURE(time);
    CHECK(ParseLogTime(FormatLogTime(time)) == time);
  }
}

TEST_CASE("a clock that is far off gives a time that can be read") {
  CHECK(FormatLogTime(std::numeric_limits<std::int64_t>::min()) ==
        "1970-01-01T00:00:00.000000Z");
  CHECK(FormatLogTime(std::numeric_limits<std::int64_t>::max()) ==
        "9999-12-31T23:59:59.999999Z");
}

TEST_CASE("what is no time is none") {
  for (const char* text :
       {"", "2026-11-22", "2026-11-22T16:33:26.12345Z",
        "2026-11-22T16:33:26.123456", "2026-11-22 16:33:26.123456Z",
        "2026-02-31T16:33:26.123456Z", "2026-11-22T25:33:26.123456Z",
        "-026-11-22T16:33:26.123456Z", "2026-11-22T16:33:26.123456Z "}) {
    CAPTURE(text);
    CHECK(!ParseLogTime(text));
  }
}

TEST_CASE("a line is read as it was written, whatever its bytes") {
  using namespace std::string_view_literals;
  for (const LogStream stream :
       {LogStream::kOut, LogStream::kErr, LogStream::kNote, LogStream::kLog}) {
    for (const bool continued : {false, true}) {
      for (const std::string_view text :
           {""sv, " "sv, "+ x"sv, "two  spaces "sv, "\0\xff\r\xc3"sv}) {
        std::string line;
        AppendLogLine(line, kSomeTimeText, stream, continued, text);
        CHECK(line.size() <= kMaxLogPrefixBytes + text.size() + 1);
        REQUIRE(line.back() == '\n');
        line.pop_back();
        const auto parsed = ParseLogLine(line);
        REQUIRE(parsed);
        CHECK(parsed->time_us == kSomeTime);
        CHECK(parsed->stream == stream);
        CHECK(parsed->continued == continued);
        CHECK(parsed->text == text);
      }
    }
  }
}

TEST_CASE("the format is the documented one") {
  std::string lines;
  AppendLogLine(lines, kSomeTimeText, LogStream::kOut, false, "text");
  AppendLogLine(lines, kSomeTimeText, LogStream::kErr, true, "text");
  AppendLogLine(lines, kSomeTimeText, LogStream::kNote, false, "two\nlines");
  CHECK(lines ==
        "2026-11-22T16:33:26.123456Z out text\n"
        "2026-11-22T16:33:26.123456Z err+ text\n"
        "2026-11-22T16:33:26.123456Z note two lines\n");
}

TEST_CASE("what is no line of a log is none") {
  for (const char* text :
       {"", "hello", "2026-11-22T16:33:26.123456Z",
        "2026-11-22T16:33:26.123456Z ", "2026-11-22T16:33:26.123456Z out",
        "2026-11-22T16:33:26.123456Z out+", "2026-11-22T16:33:26.123456Zout x",
        "2026-11-22T16:33:26.123456Z outer x",
        "2026-11-22T16:33:26.123456Z in x"}) {
    CAPTURE(text);
    CHECK(!ParseLogLine(text));
  }
}

}  // namespace
}  // namespace forkserver
