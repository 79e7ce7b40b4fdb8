#include "tools/harness/plan/selection.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace forkserver::harness {
namespace {

TestCase MakeTest(const std::string& name, std::vector<std::string> tags = {}) {
  TestCase test;
  test.target = "build/db_test";
  test.listed.name = name;
  test.listed.tags = std::move(tags);
  test.id = test.target + "::" + name;
  return test;
}

bool Selects(const std::vector<std::string>& filters, const TestCase& test) {
  const auto selection = Selection::Parse(filters);
  REQUIRE(selection);
  return selection->Matches(test);
}

TEST_CASE("a word is found anywhere in the id") {
  const TestCase test = MakeTest("rows are deleted");
  CHECK(Selects({"deleted"}, test));
  CHECK(Selects({"db_test::rows"}, test));
  CHECK_FALSE(Selects({"Deleted"}, test));
  CHECK(Selects({}, test));
}

TEST_CASE("a glob is the whole id or the whole name") {
  const TestCase test = MakeTest("rows are deleted");
  CHECK(Selects({"*deleted"}, test));
  CHECK(Selects({"rows*"}, test));
  CHECK(Selects({"*::rows are ?eleted"}, test));
  CHECK_FALSE(Selects({"are*"}, test));
  CHECK_FALSE(Selects({"*are"}, test));
}

TEST_CASE("after = it is that test and no other") {
  const TestCase test = MakeTest("rows*");
  CHECK(Selects({"=rows*"}, test));
  CHECK(Selects({"=build/db_test::rows*"}, test));
  CHECK_FALSE(Selects({"=rows"}, test));
  CHECK_FALSE(Selects({"=rows*"}, MakeTest("rows are deleted")));
  CHECK_FALSE(Selects({"!=rows*"}, test));
}

TEST_CASE("globs with many stars are matched in reasonable time") {
  CHECK(MatchesGlob("*", ""));
  CHECK(MatchesGlob("**a**", "bab"));
  CHECK_FALSE(MatchesGlob("a?", "a"));
  const std::string text(20'000, 'a');
  CHECK_FALSE(MatchesGlob("*a*a*a*a*a*a*a*a*b", text));
}

TEST_CASE("between slashes is a regular expression") {
  const TestCase test = MakeTest("rows are deleted");
  CHECK(Selects({"/rows .* deleted$/"}, test));
  CHECK_FALSE(Selects({"/^rows/"}, test));
  const auto wrong = Selection::Parse({"/(/"});
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().message.find("/(/") != std::string::npos);
}

TEST_CASE("a tag is matched as a whole") {
  const TestCase test = MakeTest("a", {"slow", "db:postgres"});
  CHECK(Selects({"tag:slow"}, test));
  CHECK(Selects({"tag:db:*"}, test));
  CHECK_FALSE(Selects({"tag:slo"}, test));
  CHECK_FALSE(Selects({"tag:slow"}, MakeTest("tag:slo")));
  CHECK_FALSE(Selection::Parse({"tag:"}));
}

TEST_CASE("several filters are joined, and those with ! take away") {
  const TestCase one = MakeTest("one", {"slow"});
  const TestCase two = MakeTest("two");
  CHECK(Selects({"one", "two"}, one));
  CHECK(Selects({"one", "two"}, two));
  CHECK_FALSE(Selects({"!tag:slow"}, one));
  CHECK(Selects({"!tag:slow"}, two));
  CHECK_FALSE(Selects({"*", "!/two/"}, two));
  CHECK(Selects({"*", "!/two/"}, one));
}

TEST_CASE("an empty filter is refused, it would select everything") {
  CHECK_FALSE(Selection::Parse({""}));
  CHECK_FALSE(Selection::Parse({"!"}));
}

}  // namespace
}  // namespace forkserver::harness
