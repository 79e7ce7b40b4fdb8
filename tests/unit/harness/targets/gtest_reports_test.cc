// GoogleTest's XML and listings, recorded of 1.12.1.
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/unit/harness/targets/recorded_program.h"
#include "tools/harness/targets/cold_framework.h"

namespace forkserver::harness {
namespace {

using Strings = std::vector<std::string>;

constexpr char kListing[] = R"(<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="5" name="AllTests">
  <testsuite name="Shop" tests="4">
    <testcase name="Passes" file="shop.cc" line="2" />
    <testcase name="Fails" file="shop.cc" line="3" />
    <testcase name="Skips" file="shop.cc" line="4" />
    <testcase name="DISABLED_LeftOut" file="shop.cc" line="5" />
  </testsuite>
  <testsuite name="Few/Prices" tests="1">
    <testcase name="AreSmall/0" value_param="5" file="shop.cc" line="7" />
  </testsuite>
</testsuites>
)";
// As versions before 1.8.1 have nothing else.
constexpr char kTextListing[] = R"(Running main() from gtest_main.cc
Shop.
  Passes
  Fails
  Skips
  DISABLED_LeftOut
Few/Prices.
  AreSmall/0  # GetParam() = 5
printed when it ends
)";
enum Test : std::size_t { kPasses, kFails, kSkips, kLeftOut, kSmall };
const Strings kNames = {"Shop.Passes", "Shop.Fails", "Shop.Skips",
                        "Shop.DISABLED_LeftOut, skipped",
                        "Few/Prices.AreSmall/0"};

constexpr char kPassed[] =
    R"(<testcase name="Passes" file="shop.cc" line="2" status="run" result="completed" time="0.25" classname="Shop" />)";
constexpr char kFailed[] =
    R"(<testcase name="Fails" file="shop.cc" line="3" status="run" result="completed" time="0" classname="Shop">
      <failure message="shop.cc:3&#x0A;Expected equality of these values:&#x0A;  1 + 1&#x0A;    Which is: 2&#x0A;  3&#x0A;in &lt;the&gt; cart" type=""><![CDATA[shop.cc:3
Expected equality of these values:
  1 + 1
    Which is: 2
  3
in <the> cart]]></failure>
      <failure message="unknown file&#x0A;again" type=""><![CDATA[unknown file
again]]></failure>
    </testcase>)";
constexpr char kSkipped[] =
    R"(<testcase name="Skips" file="shop.cc" line="4" status="run" result="skipped" time="0" classname="Shop">
      <skipped message="shop.cc:4&#x0A;closed"><![CDATA[shop.cc:4
closed]]></skipped>
    </testcase>)";
constexpr char kNotRun[] =
    R"(<testcase name="Skips" file="shop.cc" line="4" status="notrun" result="suppressed" time="0" classname="Shop" />)";
constexpr char kSmallFailed[] =
    R"(<testcase name="AreSmall/0" value_param="5" file="shop.cc" line="7" status="run" result="completed" time="0" classname="Few/Prices">
      <failure message="shop.cc:7&#x0A;too much" type=""><![CDATA[shop.cc:7
too much]]></failure>
    </testcase>)";
constexpr char kEnvironmentFailed[] =
    R"(<testsuite name="NonTestSuiteFailure" tests="1" failures="1">    <testcase name="" status="run" result="completed" classname="" time="0">
      <failure message="world.cc:5&#x0A;Failed&#x0A;world" type=""><![CDATA[world.cc:5
Failed
world]]></failure>
    </testcase>
  </testsuite>)";

std::string Report(const std::string& shop, const std::string& suites = "") {
  return R"(<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="5" failures="2" disabled="1" errors="0" name="AllTests">
  <testsuite name="Shop" tests="4" failures="1">
    )" + shop +
         "\n  </testsuite>\n" + suites + "\n</testsuites>\n";
}

std::unique_ptr<ColdFramework> Listed() {
  auto framework = MakeColdGoogleTest();
  RecordedProgram program;
  program.AnswerWithXml({"--gtest_list_tests"}, kListing);
  REQUIRE(program.ListBy(*framework));
  return framework;
}

FrameworkReport Read(const std::vector<std::size_t>& tests,
                     const std::string& text) {
  return Listed()->Read(tests, XmlDocument::Parse(text));
}

TEST_CASE("a listing of GoogleTest, as XML or as text") {
  RecordedProgram program;
  program.AnswerWithXml({"--gtest_list_tests"}, kListing, kTextListing);
  const auto listing = program.ListBy(*MakeColdGoogleTest());
  REQUIRE(listing);
  CHECK(NamesOf(*listing) == kNames);
  CHECK(listing->tests[kSmall].suite == "Few/Prices");
  CHECK(listing->tests[kSmall].file == "shop.cc");
  CHECK(listing->tests[kSmall].line == 7);

  RecordedProgram old;
  old.Answer({"--gtest_list_tests"}, kTextListing);
  const auto text = old.ListBy(*MakeColdGoogleTest());
  REQUIRE(text);
  CHECK(NamesOf(*text) == kNames);
  CHECK(text->tests[kSmall].suite == "Few/Prices");

  RecordedProgram cut;
  cut.AnswerWithXml({"--gtest_list_tests"},
                    std::string(kListing).substr(0, 300), kTextListing);
  const auto whole = cut.ListBy(*MakeColdGoogleTest());
  REQUIRE(whole);
  CHECK(NamesOf(*whole) == kNames);
}

TEST_CASE("a test that an environment has skipped did not pass") {
  for (const char* beginning :
       {"1970-01-01T00:00:00.000", "1969-12-31T19:00:00.000",
        "1970-01-01T09:00:00"}) {
    const auto read = Read(
        {kPasses},
        Report(std::string(
                   R"(<testcase name="Passes" status="run" result="completed" )"
                   R"(time="0" classname="Shop" timestamp=")") +
               beginning + "\" />"));
    REQUIRE(read.tests.size() == 1);
    CHECK(read.tests[0].status == "skipped");
    CHECK(read.tests[0].skip_reason.find("Environment") != std::string::npos);
  }
  const auto ran = Read(
      {kPasses},
      Report(
          R"(<testcase name="Passes" status="run" result="completed" )"
          R"(time="0" timestamp="2026-11-23T06:00:00" classname="Shop" />)"));
  CHECK(ran.tests[0].status == "passed");
}

TEST_CASE("a program without tests has none") {
  RecordedProgram program;
  program.AnswerWithXml({"--gtest_list_tests"},
                        "<?xml version=\"1.0\"?><testsuites/>");
  const auto listing = program.ListBy(*MakeColdGoogleTest());
  REQUIRE(listing);
  CHECK(listing->tests.empty());
}

TEST_CASE("what is no listing of GoogleTest is an error with a hint") {
  RecordedProgram other;
  other.Answer({"--gtest_list_tests"}, "unknown option. Stopping.\n");
  const auto listing = other.ListBy(*MakeColdGoogleTest());
  REQUIRE_FALSE(listing);
  CHECK(listing.error().hint.find("--framework") != std::string::npos);
  RecordedProgram failing;
  failing.AnswerWithXml({"--gtest_list_tests"}, kListing, kTextListing, 1);
  CHECK_FALSE(failing.ListBy(*MakeColdGoogleTest()));
}

TEST_CASE("a filter means its tests, whatever is in their names") {
  CHECK(Listed()->Select({kPasses, kSmall}) ==
        Strings{"--gtest_filter=Shop.Passes:Few/Prices.AreSmall/0"});
  auto framework = MakeColdGoogleTest();
  RecordedProgram program;
  program.AnswerWithXml({"--gtest_list_tests"},
                        "<testsuites><testsuite name=\"A-b\"><testcase "
                        "name=\"x:*\"/></testsuite></testsuites>");
  REQUIRE(program.ListBy(*framework));
  CHECK(framework->Select({0}) == Strings{"--gtest_filter=A?b.x??"});
}

TEST_CASE("every test of a document has GoogleTest's word") {
  const auto report =
      Read({kPasses, kFails, kSkips, kSmall},
           Report(std::string(kPassed) + kFailed + kSkipped,
                  "<testsuite name=\"Few/Prices\">" +
                      std::string(kSmallFailed) + "</testsuite>"));
  CHECK(report.complete);
  CHECK(report.infrastructure.empty());
  CHECK(StatesOf(report) == Strings{"passed", "failed", "skipped", "failed"});
  CHECK(report.tests[0].wall_us == 250'000);

  const auto& failures = report.tests[1].failures;
  REQUIRE(failures.size() == 2);
  CHECK(failures[0].message ==
        "Expected equality of these values:\n  1 + 1\n    Which is: 2\n  3\n"
        "in <the> cart");
  CHECK(failures[0].file == "shop.cc");
  CHECK(failures[0].line == 3);
  CHECK(failures[1].message == "again");
  CHECK(failures[1].file.empty());
  CHECK(report.tests[2].skip_reason == "closed");
  REQUIRE(report.tests[3].failures.size() == 1);
  CHECK(report.tests[3].failures[0].where == "GetParam() = 5");
}

TEST_CASE("a test that fails and skips has failed") {
  const std::string both =
      R"(<testcase name="Skips" status="run" result="skipped"><failure message="x"/><skipped message="y"/></testcase>)";
  CHECK(StatesOf(Read({kSkips}, Report(both))) == Strings{"failed"});
}

TEST_CASE("an environment that fails is a failure of the test") {
  const auto report = Read({kPasses}, Report(kPassed, kEnvironmentFailed));
  CHECK(report.complete);
  CHECK(StatesOf(report) == Strings{"failed"});
  REQUIRE(report.tests[0].failures.size() == 1);
  CHECK(report.tests[0].failures[0].where == "outside of the test");
  CHECK(report.tests[0].failures[0].message == "Failed\nworld");
}

TEST_CASE("a document that ends anywhere makes nothing green") {
  const auto framework = Listed();
  const std::string text = Report(std::string(kFailed) + kPassed);
  CHECK(FindBadBeginning(*framework, {kFails, kPasses}, text,
                         "classname=\"Shop\" />") == 0);
  CHECK(framework->Read({kFails, kPasses}, XmlDocument::Parse(text)).complete);
}

TEST_CASE("another test than the one that was asked for is nobody's fault") {
  CHECK(Read({kPasses}, Report(std::string(kPassed) + kFailed))
            .infrastructure.find("'Shop.Fails'") != std::string::npos);
  CHECK(Read({kPasses}, Report(std::string(kPassed) + kPassed))
            .infrastructure.find("'Shop.Passes'") != std::string::npos);
  CHECK(Read({kPasses}, Report(std::string(kPassed) + kNotRun))
            .infrastructure.empty());
}

TEST_CASE("a test that was not run is absent") {
  CHECK(StatesOf(Read({kSkips}, Report(kNotRun))) == Strings{"absent"});
  CHECK(StatesOf(Read({kFails}, Report(""))) == Strings{"absent"});
  CHECK(StatesOf(Read({kFails}, "")) == Strings{"absent"});
  CHECK_FALSE(Read({kFails}, "<doctest/>").complete);
}

TEST_CASE("a failure whose text is a document of its own is that failure") {
  const std::string hostile = Report(kPassed);
  for (const std::string& text :
       {std::string("<?xml version=\"1.0\"?>\n<cart/>\n"), hostile,
        // One that the rest of the true one would complete.
        hostile.substr(0, hostile.find("</testsuite>")) +
            "<testcase name=\"x\" status=\"notrun\"><failure>"}) {
    CAPTURE(text);
    const auto report = Read(
        {kPasses},
        Report("<testcase name=\"Passes\" status=\"run\"><failure><![CDATA["
               "shop.cc:2\nexpected\n" +
               text + "]]></failure></testcase>"));
    CHECK(report.complete);
    CHECK(StatesOf(report) == Strings{"failed"});
    REQUIRE(report.tests[0].failures.size() == 1);
    CHECK(report.tests[0].failures[0].line == 2);
  }
}

}  // namespace
}  // namespace forkserver::harness
