#include "server/output/line_pattern.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

namespace forkserver::server {
namespace {

bool Matches(const std::string& expression, std::string_view line) {
  auto pattern = LinePattern::Compile(expression);
  REQUIRE_MESSAGE(pattern, expression);
  return pattern->Matches(line);
}

TEST_CASE("an expression matches anywhere, or where it is anchored") {
  CHECK(Matches("listening on port [0-9]+", "INFO listening on port 8000!"));
  CHECK(!Matches("listening on port [0-9]+", "listening on port x"));
  CHECK(Matches("^ready$", "ready"));
  CHECK(!Matches("^ready$", "not ready"));
  CHECK(Matches("(started|ready) in [0-9.]{1,10} ?m?s", "ready in 12.5 ms"));
  CHECK(Matches("\\[ok\\]", "x [ok]"));
  CHECK(Matches("[[:space:]]up[]x]", "a up]"));
}

TEST_CASE("any byte may be in a line") {
  using namespace std::string_view_literals;
  CHECK(Matches("ready", "\0\xff ready"sv));
  CHECK(Matches("^.ready$", "\xffready"sv));
}

TEST_CASE("only the beginning of a long line is looked at") {
  const std::string filler(LinePattern::kMaxLineBytes - 5, '.');
  CHECK(Matches("ready", filler + "ready"));
  CHECK(!Matches("ready", filler + ".ready"));
}

TEST_CASE("what is wrong with an expression is said") {
  const auto refused = [](const std::string& expression,
                          const std::string& why) {
    const auto pattern = LinePattern::Compile(expression);
    REQUIRE_MESSAGE(!pattern, expression);
    CHECK(pattern.error().code == error_code::kBadRequest);
    CHECK_MESSAGE(pattern.error().message.find(why) != std::string::npos,
                  pattern.error().message);
  };
  refused("(a", "(");
  refused("[a", "[");
  refused("*a{2,1}", "is not valid");
  refused("port \\d+", "\\d");
  refused("(a)\\1", "\\1");
  refused(std::string("a\0b", 3), "NUL");
  refused(std::string(LinePattern::kMaxBytes + 1, 'a'), "at most");
  // What would take gigabytes to compile.
  refused("((a{1,255}){1,255}){1,255}", "repeats too much");
  refused("(a{99999999999999999999})", "repeats too much");
  refused(
      std::string(30, '(') + "a" +
          [] {
            std::string nested;
            for (int i = 0; i < 30; ++i) nested += "+)";
            return nested;
          }(),
      "repeats too much");
}

TEST_CASE("no expression and no line takes exponential time or memory") {
  const std::string line(LinePattern::kMaxLineBytes, 'a');
  std::string mixed;
  for (int i = 0; mixed.size() < line.size(); ++i) {
    mixed += (i * i / 7) % 2 == 0 ? 'a' : 'b';
  }
  for (const char* expression :
       {"(a+)+z", "(a*)*z", "(a|a)*z", "(a|aa)+$c", "(x+x+)+y",
        "(a|b)*a(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)c",
        "(.*)*(.*)*(.*)*z", "a{0,200}a{0,200}z"}) {
    CAPTURE(expression);
    auto pattern = LinePattern::Compile(expression);
    REQUIRE(pattern);
    // Often enough to be compiled anew.
    for (int i = 0; i < 40; ++i) {
      CHECK(!pattern->Matches(i % 2 == 0 ? line : mixed + 'x'));
    }
  }
}

TEST_CASE("it still matches after many lines that do not") {
  auto pattern = LinePattern::Compile("^ready$");
  REQUIRE(pattern);
  for (int i = 0; i < 10'000; ++i) CHECK(!pattern->Matches("not ready yet"));
  CHECK(pattern->Matches("ready"));
  LinePattern moved = std::move(*pattern);
  CHECK(moved.Matches("ready"));
}

}  // namespace
}  // namespace forkserver::server
