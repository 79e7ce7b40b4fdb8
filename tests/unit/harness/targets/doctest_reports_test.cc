// doctest's XML, recorded of 2.4.9.
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "tests/unit/harness/targets/recorded_program.h"
#include "tools/harness/targets/cold_framework.h"
#include "tools/harness/targets/failure_list.h"

namespace forkserver::harness {
namespace {

using Strings = std::vector<std::string>;

constexpr char kHead[] = R"(<?xml version="1.0" encoding="UTF-8"?>
<doctest binary="./shop" version="2.4.9">
  <Options order_by="file" rand_seed="0" first="0" last="4294967295"/>
)";

const std::string kListing =
    std::string(kHead) +
    R"(  <TestCase name="passes" filename="shop.cc" line="4" skipped="false"/>
  <TestCase name="fails" testsuite="cart" filename="shop.cc" line="6" skipped="false"/>
  <TestCase name="throws" filename="shop.cc" line="13" skipped="false"/>
  <TestCase name="left, *out*" filename="shop.cc" line="14" skipped="true"/>
  <TestCase name="should fail" filename="shop.cc" line="15" skipped="false"/>
  <TestCase name="twice" filename="shop.cc" line="16" skipped="false"/>
  <TestCase name="twice" filename="shop.cc" line="17" skipped="false"/>
  <OverallResultsTestCases unskipped="7"/>
</doctest>
)";
enum Test : std::size_t { kPasses, kFails, kThrows, kLeftOut, kShouldFail };
enum Twice : std::size_t { kFirst = 5, kSecond };

constexpr char kPassed[] =
    R"(    <TestCase name="passes" filename="shop.cc" line="4">
      <OverallResultsAsserts successes="1" failures="0" test_case_success="true" duration="0.25"/>
    </TestCase>
)";
constexpr char kFailed[] =
    R"(    <TestCase name="fails" filename="shop.cc" line="6">
      <SubCase name="outer" filename="shop.cc" line="8">
        <SubCase name="inner" filename="shop.cc" line="9">
          <Expression success="false" type="CHECK" filename="shop.cc" line="10">
            <Original>
              1 + 1 == 3
            </Original>
            <Expanded>
              2 == 3
            </Expanded>
            <Info>
              in the cart
            </Info>
          </Expression>
        </SubCase>
      </SubCase>
      <Expression success="false" type="WARN" filename="shop.cc" line="10">
        <Original>
          false
        </Original>
      </Expression>
      <Expression success="false" type="CHECK_THROWS_AS" filename="shop.cc" line="11">
        <Original>
          throw 1
        </Original>
        <Exception>
          "unknown exception"
        </Exception>
        <ExpectedException>
          std::runtime_error
        </ExpectedException>
      </Expression>
      <Message type="ERROR" filename="cart.h" line="12">
        <Text>
          said so
        </Text>
      </Message>
      <OverallResultsAsserts successes="0" failures="3" test_case_success="false" duration="0.000182"/>
    </TestCase>
)";
constexpr char kThrew[] =
    R"(    <TestCase name="throws" filename="shop.cc" line="13">
      <Exception crash="false">
        no &lt;more> &amp; less
      </Exception>
      <OverallResultsAsserts successes="0" failures="0" test_case_success="false" duration="1.8e-05"/>
    </TestCase>
)";
constexpr char kFailedAsItShould[] =
    R"(    <TestCase name="should fail" filename="shop.cc" line="15" should_fail="true">
      <Expression success="false" type="CHECK" filename="shop.cc" line="15">
        <Original>
          1 == 2
        </Original>
        <Expanded>
          1 == 2
        </Expanded>
      </Expression>
      <OverallResultsAsserts successes="0" failures="1" test_case_success="true" duration="1.7e-05"/>
    </TestCase>
)";
constexpr char kCrashed[] =
    R"(    <TestCase name="passes" filename="shop.cc" line="4">
      <Exception crash="true">
        SIGSEGV - Segmentation violation signal
      </Exception>
      <OverallResultsAsserts successes="0" failures="0" test_case_success="false" duration="2.3e-05"/>
    </TestCase>
)";

// A document with these test cases.
std::string Report(const std::string& cases) {
  return std::string(kHead) + "  <TestSuite>\n" + cases +
         "  </TestSuite>\n"
         "  <OverallResultsAsserts successes=\"1\" failures=\"4\"/>\n"
         "  <OverallResultsTestCases successes=\"4\" failures=\"2\"/>\n"
         "</doctest>\n";
}

// A framework that has listed the program.
std::unique_ptr<ColdFramework> Listed() {
  auto framework = MakeColdDoctest();
  RecordedProgram program;
  program.AnswerWithXml({"--dt-list-test-cases"}, kListing);
  REQUIRE(program.ListBy(*framework));
  return framework;
}

FrameworkReport Read(const std::vector<std::size_t>& tests,
                     const std::string& text) {
  return Listed()->Read(tests, XmlDocument::Parse(text));
}

TEST_CASE("a listing of doctest") {
  auto framework = MakeColdDoctest();
  RecordedProgram program;
  program.AnswerWithXml({"--dt-list-test-cases", "--dt-no-skip"}, kListing,
                        "printed before main\n");
  const auto listing = program.ListBy(*framework);
  REQUIRE(listing);
  CHECK(NamesOf(*listing) ==
        Strings{"passes", "fails", "throws", "left, *out*, skipped",
                "should fail", "twice (shop.cc:16)", "twice (shop.cc:17)"});
  const protocol::ListedTest& fails = listing->tests[kFails];
  CHECK(fails.suite == "cart");
  CHECK(fails.tags == Strings{"cart"});
  CHECK(fails.file == "shop.cc");
  CHECK(fails.line == 6);
  CHECK(listing->tests[kPasses].tags.empty());
}

TEST_CASE("what is no listing of doctest is an error with a hint") {
  const std::string bad[] = {
      kListing.substr(0, kListing.size() / 2),
      R"(<?xml version="1.0"?><testsuites/>)",
      "no XML",
  };
  for (const std::string& xml : bad) {
    CAPTURE(xml);
    auto framework = MakeColdDoctest();
    RecordedProgram program;
    program.AnswerWithXml({"--dt-list-test-cases"}, xml);
    const auto listing = program.ListBy(*framework);
    REQUIRE_FALSE(listing);
    CHECK(listing.error().hint.find("--framework") != std::string::npos);
  }
  RecordedProgram failing;
  failing.AnswerWithXml({"--dt-list-test-cases"}, kListing, "", 1);
  CHECK_FALSE(failing.ListBy(*MakeColdDoctest()));
  RecordedProgram silent;
  silent.Answer({"--dt-list-test-cases"}, "tests, but no file\n");
  CHECK_FALSE(silent.ListBy(*MakeColdDoctest()));
}

TEST_CASE(
    "tests are chosen by number, or by names in which nothing is special") {
  const auto framework = Listed();
  const auto has = [&](const std::vector<std::size_t>& tests,
                       const std::string& word) {
    const Strings words = framework->Select(tests);
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  CHECK(has({kThrows}, "--dt-first=3"));
  CHECK(has({kThrows}, "--dt-last=3"));
  CHECK(has({kThrows}, "--dt-no-skip"));
  CHECK(has({kThrows, kFails}, "--dt-first=2"));
  CHECK(has({kThrows, kFails}, "--dt-last=3"));
  CHECK(has({kPasses, kLeftOut}, "--dt-test-case=passes,left? ?out?"));
}

TEST_CASE("every test of a document has doctest's word") {
  const std::string cases =
      std::string(kPassed) + kFailed + kThrew + kFailedAsItShould;
  const auto report =
      Read({kPasses, kFails, kThrows, kShouldFail}, Report(cases));
  CHECK(report.complete);
  CHECK(report.infrastructure.empty());
  CHECK(report.damage.empty());
  CHECK(StatesOf(report) == Strings{"passed", "failed", "failed", "passed"});
  CHECK(report.tests[0].wall_us == 250'000);
  CHECK(report.tests[0].failures.empty());

  const auto& failures = report.tests[1].failures;
  REQUIRE(failures.size() == 3);  // a WARN is none
  CHECK(failures[0].message ==
        "CHECK( 1 + 1 == 3 ) is NOT correct!\n  values: CHECK( 2 == 3 )\n"
        "  logged: in the cart");
  CHECK(failures[0].where == "outer > inner");
  CHECK(failures[0].file == "shop.cc");
  CHECK(failures[0].line == 10);
  CHECK(failures[1].message ==
        "CHECK_THROWS_AS( throw 1, std::runtime_error ) threw a DIFFERENT "
        "exception: \"unknown exception\"");
  CHECK(failures[2].message == "said so");
  CHECK(failures[2].file == "cart.h");

  REQUIRE(report.tests[2].failures.size() == 1);
  CHECK(report.tests[2].failures[0].message ==
        "test case THREW exception: no <more> & less");
  CHECK(report.tests[3].skip_reason ==
        "Failed as expected so marking it as not failed");
}

TEST_CASE("a crash that doctest has noticed is no end of the test") {
  const auto report = Read({kPasses}, Report(kCrashed));
  CHECK(StatesOf(report) == Strings{"begun"});
  REQUIRE(report.tests[0].failures.size() == 1);
  CHECK(report.tests[0].failures[0].message ==
        "test case CRASHED: SIGSEGV - Segmentation violation signal");
}

TEST_CASE("a document that ends anywhere makes nothing green") {
  const auto framework = Listed();
  const std::string text = Report(std::string(kFailed) + kPassed);
  CHECK(FindBadBeginning(*framework, {kFails, kPasses}, text,
                         "test_case_success=\"true\"") == 0);
  CHECK(framework->Read({kFails, kPasses}, XmlDocument::Parse(text)).complete);
}

TEST_CASE("what had ended before a document does keeps its word") {
  const std::string text = Report(std::string(kPassed) + kThrew);
  const std::string beginning = text.substr(0, text.find(kThrew));
  for (const std::string& rest :
       {std::string(), std::string("<Test"), std::string("<TestCase na"),
        std::string("<TestCase name=\"throws\" filename=\"shop.cc\" "
                    "line=\"13\">")}) {
    CAPTURE(rest);
    const auto report = Read({kPasses, kThrows}, beginning + rest);
    CHECK_FALSE(report.complete);
    CHECK(StateOf(report.tests[0]) == "passed");
    CHECK_FALSE(report.tests[1].ended);
  }
}

TEST_CASE("another test than the one that was asked for is nobody's fault") {
  const auto both = Report(std::string(kPassed) + kThrew);
  for (const auto& [tests, document, name] :
       {std::tuple{std::vector<std::size_t>{kPasses}, both, "throws"},
        {{kPasses}, Report(std::string(kPassed) + kPassed), "passes"},
        {{kFails}, Report(kPassed), "passes"}}) {
    const auto report = Read(tests, document);
    CHECK_FALSE(report.complete);
    CHECK(report.infrastructure.find("did not run exactly the test") !=
          std::string::npos);
    CHECK(report.infrastructure.find(name) != std::string::npos);
  }
}

TEST_CASE("a test that the document does not have is absent") {
  CHECK(StatesOf(Read({kPasses, kThrows}, Report(kPassed))) ==
        Strings{"passed", "absent"});
  const std::string skipped = R"(<TestCase name="passes" filename="shop.cc" )"
                              R"(line="4" skipped="true"/>)";
  CHECK(StatesOf(Read({kPasses}, Report(skipped))) == Strings{"absent"});
  for (const char* text : {"", "no XML", "<doctest/>", "<other>"}) {
    CHECK(StatesOf(Read({kPasses}, text)) == Strings{"absent"});
    CHECK_FALSE(Read({kPasses}, text).complete);
  }
}

TEST_CASE("tests of one name are told apart by their place") {
  const auto report =
      Read({kFirst, kSecond},
           Report(
               R"(<TestCase name="twice" filename="shop.cc" line="17">
           <OverallResultsAsserts test_case_success="false"/></TestCase>
         <TestCase name="twice" filename="shop.cc" line="16">
           <OverallResultsAsserts test_case_success="true"/></TestCase>)"));
  CHECK(StatesOf(report) == Strings{"passed", "failed"});
}

TEST_CASE("of several documents in a file the last one counts") {
  // As a forked child leaves them that returns from its test.
  const std::string child = Report(kPassed);
  const std::string parent = Report(kCrashed);
  CHECK(StatesOf(Read({kPasses}, child + parent)) == Strings{"begun"});
  CHECK(StatesOf(Read({kPasses}, parent + child)) == Strings{"passed"});
  CHECK(StatesOf(Read({kPasses}, parent.substr(0, 300) + child)) ==
        Strings{"passed"});
  CHECK_FALSE(Read({kPasses}, child + parent.substr(0, 300)).complete);
}

TEST_CASE("a hostile document is read within bounds") {
  const auto with = [](const std::string& inner) {
    return Report("<TestCase name=\"passes\" filename=\"shop.cc\" line=\"4\">" +
                  inner +
                  "<OverallResultsAsserts test_case_success=\"false\" "
                  "duration=\"1e400\"/></TestCase>");
  };
  SUBCASE("subcases as deep as it likes") {
    std::string deep;
    for (int i = 0; i < 100'000; ++i) deep += "<SubCase name=\"x\">";
    deep += "<Message type=\"ERROR\"><Text>bottom</Text></Message>";
    for (int i = 0; i < 100'000; ++i) deep += "</SubCase>";
    const auto report = Read({kPasses}, with(deep));
    CHECK(StatesOf(report) == Strings{"failed"});
    CHECK(report.tests[0].failures.empty());
    CHECK(report.tests[0].wall_us == 0);
  }
  SUBCASE("more failures than anybody reads") {
    std::string many;
    for (int i = 0; i < 5000; ++i) {
      many += "<Message type=\"ERROR\" line=\"x\"><Text>again</Text></Message>";
    }
    const auto failures = Read({kPasses}, with(many)).tests[0].failures;
    REQUIRE(failures.size() == FailureList::kMost + 1);
    CHECK(failures.front().line == 0);
    CHECK(failures.back().message == "4000 more failures");
  }
  SUBCASE("a text that is larger than anybody reads") {
    const auto failures =
        Read({kPasses}, with("<Message type=\"ERROR\"><Text>" +
                             std::string(2u << 20, 'x') + "</Text></Message>"))
            .tests[0]
            .failures;
    REQUIRE(failures.size() == 1);
    CHECK(failures[0].message.size() == kMaxXmlText);
  }
  SUBCASE("entities that grow") {
    const std::string text =
        "<!DOCTYPE a [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]>" +
        with("<Message type=\"ERROR\"><Text>&b;</Text></Message>");
    const auto failures = Read({kPasses}, text).tests[0].failures;
    REQUIRE(failures.size() == 1);
    CHECK(failures[0].message == "&b;");
  }
  SUBCASE("zeros") {
    std::string text = with("");
    text.insert(text.find("<OverallResultsAsserts"), 1, '\0');
    CHECK_FALSE(Read({kPasses}, text).complete);
  }
}

}  // namespace
}  // namespace forkserver::harness
