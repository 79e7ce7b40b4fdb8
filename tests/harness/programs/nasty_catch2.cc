// Tests of every kind, in Catch2 (version 2 or 3): held against its own
// verdicts.
#include <sys/wait.h>
#include <unistd.h>

#if __has_include(<catch2/catch_all.hpp>)
#define VERSION_3
#include <catch2/catch_all.hpp>
#else
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
#endif
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

TEST_CASE("passes", "[plain][fast]") { CHECK(1 + 1 == 2); }
TEST_CASE("name, with commas, and \\ backslash") { CHECK(true); }
TEST_CASE("name * with ? wildcards") { CHECK(true); }
TEST_CASE("name with [brackets] and \"quotes\" & <xml>") { CHECK(true); }
TEST_CASE("~starts with a tilde") { CHECK(true); }
TEST_CASE("*star at both ends*") { CHECK(true); }
TEST_CASE("star at both ends") { FAIL("it is not the one with the stars"); }
TEST_CASE("#starts with a hash") { CHECK(true); }
TEST_CASE("n\xc3\xa4me in unicode \xe2\x82\xac") { CHECK(true); }
TEST_CASE("exclude:") { CHECK(true); }
TEST_CASE("exclude: others") { CHECK(true); }
TEST_CASE(" begins and ends with a space ") { CHECK(true); }
TEST_CASE("[starts with a bracket") { CHECK(true); }
TEST_CASE("ends with a backslash\\") { CHECK(true); }
TEST_CASE("\"in quotes\"") { CHECK(true); }
TEST_CASE("--looks-like-an-option") { CHECK(true); }
TEST_CASE(
    "a very long name that a listing for people would break into several "
    "lines because it is longer than any terminal is wide, and longer") {
  CHECK(true);
}
TEST_CASE() { CHECK(true); }
SCENARIO("a scenario", "[bdd]") {
  GIVEN("something") {
    WHEN("it happens") {
      THEN("it is right") { CHECK(true); }
    }
  }
}

TEST_CASE("no assertion") {}
TEST_CASE("fails once") {
  const int answer = 41;
  CHECK(answer == 42);
}
TEST_CASE("fails twice and goes on") {
  INFO("some context");
  CHECK(1 == 2);
  CHECK_FALSE(true);
}
TEST_CASE("requires") {
  REQUIRE(std::string("a") == "b");
  FAIL("not reached");
}
TEST_CASE("throws") { throw std::runtime_error("out of luck"); }
TEST_CASE("warns only") { WARN("something"); }
TEST_CASE("fails in a section") {
  SECTION("good") { CHECK(true); }
  SECTION("bad") {
    SECTION("deeper") { CHECK(1 == 2); }
  }
}

TEST_CASE("is hidden", "[.]") { FAIL("it was run"); }
TEST_CASE("is hidden with a tag", "[.integration]") { FAIL("it was run"); }
TEST_CASE("should fail and does", "[!shouldfail]") { CHECK(false); }
TEST_CASE("should fail and does not", "[!shouldfail]") { CHECK(true); }
TEST_CASE("may fail and does", "[!mayfail]") { CHECK(false); }
TEST_CASE("may fail and does not", "[!mayfail]") { CHECK(true); }

TEMPLATE_PRODUCT_TEST_CASE("of a product", "[template]",
                           (std::vector, std::set), (int, (char))) {
  CHECK(TestType().empty());
}
TEMPLATE_TEST_CASE("of a type", "[template]", int, char, std::string) {
  CHECK(sizeof(TestType) < 8);
}
TEST_CASE("generates") {
  const int value = GENERATE(2, 4, 6);
  CHECK(value % 2 == 0);
}

struct Fixture {
  int value = 3;
  mutable int uses = 0;
};
TEST_CASE_METHOD(Fixture, "with a fixture", "[fixture]") { CHECK(value == 3); }

TEST_CASE("prints") {
  std::printf("to standard output\n");
  std::fprintf(stderr, "to standard error\n");
  CHECK(true);
}

#ifdef VERSION_3
TEST_CASE("equal names", "[first]") { CHECK(true); }
TEST_CASE("equal names", "[second]") { CHECK(false); }
TEST_CASE("Equal Names") { CHECK(true); }
TEST_CASE_METHOD(Fixture, "equal names") { CHECK(value == 4); }
TEST_CASE("skips") { SKIP("closed on Sundays"); }
TEST_CASE("skips without a word") { SKIP(); }
TEST_CASE("skips after a check") {
  CHECK(true);
  SKIP("enough");
}
TEST_CASE("skips after a failure") {
  CHECK(1 == 2);
  SKIP("too late");
}
TEST_CASE("skips in one section of two") {
  SECTION("skipped") { SKIP("this half"); }
  SECTION("good") { CHECK(true); }
}
TEST_CASE("skips in one section and fails in the other") {
  SECTION("skipped") { SKIP("this half"); }
  SECTION("bad") { CHECK(false); }
}
TEST_CASE("skips one of what it generates") {
  if (GENERATE(1, 2, 3) == 2) SKIP("not two");
  CHECK(true);
}
TEST_CASE("may fail, does, and skips", "[!mayfail]") {
  CHECK(false);
  SKIP("too late");
}
TEST_CASE("should fail and skips", "[!shouldfail]") { SKIP("neither"); }
TEST_CASE("may fail and skips", "[!mayfail]") { SKIP("neither"); }
TEST_CASE_PERSISTENT_FIXTURE(Fixture, "with a fixture that stays") {
  SECTION("first") { CHECK(++uses == 1); }
  SECTION("second") { CHECK(++uses == 2); }
}
#endif

#ifdef CRASHES
// A run by hand ends with the first of them.
TEST_CASE("crashes: a bad address") {
  CHECK(1 == 2);
  volatile int* nowhere = nullptr;
  *nowhere = 1;
}
TEST_CASE("crashes: exit with 0") { std::exit(0); }
TEST_CASE("crashes: _exit with 0") { ::_exit(0); }
TEST_CASE("crashes: kill") { ::kill(::getpid(), SIGKILL); }
#endif
