// Tests of every kind, in doctest: held against doctest's own verdicts.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#ifdef WARM
#include <forkserver/testing.h>

static std::vector<std::string> warmed;
FORKSERVER_TEST_WARM_UP("first") { warmed.emplace_back("first"); }
FORKSERVER_TEST_WARM_UP("second") { warmed.emplace_back("second"); }

TEST_CASE("warm-ups ran once, in order") {
  REQUIRE(warmed.size() == 2);
  CHECK(warmed[0] == "first");
  CHECK(warmed[1] == "second");
}
#endif

TEST_CASE("passes") { CHECK(1 + 1 == 2); }
TEST_CASE("") { CHECK(true); }
TEST_CASE("name, with commas, and \\ backslash") { CHECK(true); }
TEST_CASE("name * with ? wildcards") { CHECK(true); }
TEST_CASE("name with wildcards") { FAIL("it is not the one with the star"); }
TEST_CASE("n\xc3\xa4me in unicode \xe2\x82\xac \xf0\x9f\x8e\x89") {
  CHECK(true);
}
TEST_CASE("  leading and trailing blanks  ") { CHECK(true); }
TEST_CASE("a <tag> & \"quotes\" 'of' xml") { CHECK(true); }
TEST_CASE("--looks-like-an-option") { CHECK(true); }
TEST_CASE("equal") { CHECK(true); }
TEST_CASE("equal") { CHECK_MESSAGE(false, "the second of the equal ones"); }
TEST_CASE("equal (not a place)") { CHECK(true); }
SCENARIO("a scenario") {
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
TEST_CASE("throws an int") { throw 7; }
TEST_CASE("warns only") { WARN(1 == 2); }
TEST_CASE("fails in a subcase") {
  SUBCASE("good") { CHECK(true); }
  SUBCASE("bad") {
    SUBCASE("deeper") { CHECK(1 == 2); }
  }
  SUBCASE("good again") { CHECK(true); }
}
TEST_CASE("fails in a thread") {
  std::thread([] { CHECK(1 == 2); }).join();
}

TEST_CASE("is skipped" * doctest::skip()) { FAIL("it was run"); }
TEST_CASE("is not skipped" * doctest::skip(false)) { CHECK(true); }
TEST_CASE("should fail and does" * doctest::should_fail()) { CHECK(false); }
TEST_CASE("should fail and does not" * doctest::should_fail()) { CHECK(true); }
TEST_CASE("may fail and does" * doctest::may_fail()) { CHECK(false); }
TEST_CASE("may fail and does not" * doctest::may_fail()) { CHECK(true); }
TEST_CASE("fails as often as expected" * doctest::expected_failures(2)) {
  CHECK(false);
  CHECK(false);
}
TEST_CASE("fails less often" * doctest::expected_failures(2)) { CHECK(false); }

TEST_CASE_TEMPLATE("of a type", T, int, char, std::string) {
  CHECK(sizeof(T) < 8);
}
TEST_CASE_TEMPLATE("of an equal type", T, const int, int, unsigned) {
  CHECK(sizeof(T) == 4);
}

TEST_SUITE("a suite") {
  TEST_CASE("in a suite") { CHECK(true); }
  TEST_CASE("equal") { CHECK(true); }
}
TEST_SUITE("a skipped suite" * doctest::skip()) {
  TEST_CASE("in a skipped suite") { FAIL("it was run"); }
}

class Fixture {
 protected:
  int value_ = 3;
};
TEST_CASE_FIXTURE(Fixture, "with a fixture") { CHECK(value_ == 3); }

TEST_CASE("prints") {
  std::printf("to standard output\n");
  std::fprintf(stderr, "to standard error\n");
  CHECK(true);
}

TEST_CASE("forks, and the child returns") {
  const pid_t pid = ::fork();
  if (pid == 0) return;
  int status = 0;
  CHECK(::waitpid(pid, &status, 0) == pid);
}

#ifdef CRASHES
// A run by hand ends with the first of them.
TEST_CASE("crashes: a bad address") {
  CHECK(1 == 2);
  volatile int* nowhere = nullptr;
  *nowhere = 1;
}
TEST_CASE("crashes: abort") { std::abort(); }
TEST_CASE("crashes: exit with 0") { std::exit(0); }
TEST_CASE("crashes: _exit with 0") { ::_exit(0); }
TEST_CASE("crashes: kill") { ::kill(::getpid(), SIGKILL); }
TEST_CASE("crashes: a child fails and the parent is killed") {
  if (::fork() == 0) {
    FAIL("in the child");
  }
  ::kill(::getpid(), SIGTERM);
  ::pause();
}
#endif
