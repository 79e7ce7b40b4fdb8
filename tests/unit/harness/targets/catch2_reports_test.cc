// Catch2's listings and XML, recorded of 2.13.10 and 3.7.1.
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/unit/harness/targets/recorded_program.h"
#include "tools/harness/targets/catch2_listing.h"
#include "tools/harness/targets/cold_framework.h"

namespace forkserver::harness {
namespace {

using Strings = std::vector<std::string>;

constexpr char kIdentity2[] =
    "description:    A Catch2 test executable\n"
    "category:       testframework\n"
    "framework:      Catch Test\n"
    "version:        2.13.10\n";
constexpr char kNames2[] =
    "passes\t@shop.cc:4\n"
    "fails\t@shop.cc:5\n"
    "hidden, *\t@shop.cc:7\n"
    "may fail\t@shop.cc:8\n"
    "\"#quoted\"\t@shop.cc:9\n";
constexpr char kVisible2[] =
    "passes\t@shop.cc:4\n"
    "fails\t@shop.cc:5\n"
    "may fail\t@shop.cc:8\n"
    "\"#quoted\"\t@shop.cc:9\n";
constexpr char kTests2[] =
    "Matching test cases:\n"
    "  passes\n"
    "      [fast]\n"
    "  fails\n"
    "      [shop][slow]\n"
    "  hidden, *\n"
    "      [!hide][.]\n"
    "  may fail\n"
    "      [!mayfail]\n"
    "  #quoted\n"
    "5 matching test cases\n\n";
const Strings kNames = {"passes", "fails", "hidden, *, skipped", "may fail",
                        "#quoted"};
enum Test : std::size_t { kPasses, kFails, kHidden, kMayFail };

constexpr char kIdentity3[] =
    "description:    A Catch2 test executable\n"
    "category:       testframework\n"
    "framework:      Catch2\n"
    "version:        3.7.1\n";
std::string Listed3(const std::string& name, const std::string& tags,
                    const std::string& line) {
  return "  <TestCase>\n    <Name>" + name +
         "</Name>\n    <ClassName/>\n    <Tags>" + tags +
         "</Tags>\n    <SourceInfo>\n      <File>shop.cc</File>\n      <Line>" +
         line + "</Line>\n    </SourceInfo>\n  </TestCase>\n";
}
const std::string kTests3 =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<MatchingTests>\n" +
    Listed3("passes", "[fast]", "4") + Listed3("fails", "[shop][slow]", "5") +
    Listed3("hidden, *", "[.]", "7") + Listed3("may fail", "[!mayfail]", "8") +
    Listed3("#quoted", "", "9") + "</MatchingTests>\n";

RecordedProgram Version2() {
  RecordedProgram program;
  program.Answer({"--libidentify"}, kIdentity2);
  // It exits with the number of tests.
  program.Answer({"*", "--list-test-names-only"}, kNames2, 5);
  program.Answer({"--list-test-names-only"}, kVisible2, 4);
  program.Answer({"*", "--list-tests"}, kTests2, 5);
  return program;
}

RecordedProgram Version3() {
  RecordedProgram program;
  program.Answer({"--libidentify"}, kIdentity3);
  program.Answer({"*", "--list-tests", "--reporter", "xml"},
                 "printed before main\n" + kTests3);
  return program;
}

constexpr char kPassed[] =
    R"(<TestCase name="passes" tags="[fast]" filename="shop.cc" line="4">
      <OverallResult success="true" durationInSeconds="0.25"/>
    </TestCase>
)";
constexpr char kFailed[] =
    R"(<TestCase name="fails" tags="[shop][slow]" filename="shop.cc" line="5">
      <Section name="outer" filename="shop.cc" line="5">
        <Section name="inner" filename="shop.cc" line="5">
          <Info>
            in the cart
          </Info>
          <Expression success="false" type="CHECK" filename="shop.cc" line="6">
            <Original>
              1 + 1 == 3
            </Original>
            <Expanded>
              2 == 3
            </Expanded>
          </Expression>
          <OverallResults successes="0" failures="1" expectedFailures="0"/>
        </Section>
        <OverallResults successes="0" failures="1" expectedFailures="0"/>
      </Section>
      <Failure filename="shop.cc" line="7">
        said so
      </Failure>
      <Exception filename="shop.cc" line="5">
        no &lt;more>
      </Exception>
      <OverallResult success="false" durationInSeconds="7.4e-05">
        <StdOut>
printed
        </StdOut>
      </OverallResult>
    </TestCase>
)";
constexpr char kFailedAsItMay[] =
    R"(<TestCase name="may fail" tags="[!mayfail]" filename="shop.cc" line="8">
      <Expression success="false" type="CHECK" filename="shop.cc" line="8">
        <Original>
          1 == 2
        </Original>
        <Expanded>
          1 == 2
        </Expanded>
      </Expression>
      <OverallResult success="true" durationInSeconds="1.9e-05"/>
    </TestCase>
)";
constexpr char kCrashed[] =
    R"(<TestCase name="passes" filename="shop.cc" line="4">
      <FatalErrorCondition filename="shop.cc" line="4">
        SIGSEGV - Segmentation violation signal
      </FatalErrorCondition>
      <OverallResult success="false" durationInSeconds="4.1e-05"/>
    </TestCase>
)";
constexpr char kSkipped3[] =
    R"(<TestCase name="passes" tags="[fast]" filename="shop.cc" line="4">
    <Skip filename="shop.cc" line="4">
      closed
    </Skip>
    <OverallResult success="true" skips="1" durationInSeconds="8e-06"/>
  </TestCase>
)";
constexpr char kFailedAsItMayAndSkipped3[] =
    R"(<TestCase name="may fail" tags="[!mayfail]" filename="shop.cc" line="8">
    <Expression success="false" type="CHECK" filename="shop.cc" line="8">
      <Original>
        false
      </Original>
      <Expanded>
        false
      </Expanded>
    </Expression>
    <Skip filename="shop.cc" line="8">
      too late
    </Skip>
    <OverallResult success="true" skips="1" durationInSeconds="3.4e-05"/>
  </TestCase>
)";

std::string Report2(const std::string& cases) {
  return R"(<?xml version="1.0" encoding="UTF-8"?>
<Catch name="shop" filters="x">
  <Group name="shop">
    )" + cases +
         R"(    <OverallResults successes="1" failures="4" expectedFailures="1"/>
    <OverallResultsCases successes="1" failures="3" expectedFailures="1"/>
  </Group>
  <OverallResults successes="1" failures="4" expectedFailures="1"/>
  <OverallResultsCases successes="1" failures="3" expectedFailures="1"/>
</Catch>
)";
}
std::string Report3(const std::string& cases) {
  return R"(<?xml version="1.0" encoding="UTF-8"?>
<Catch2TestRun name="shop" rng-seed="1" xml-format-version="3" catch2-version="3.7.1">
  )" + cases +
         R"(  <OverallResults successes="1" failures="4" expectedFailures="1" skips="0"/>
  <OverallResultsCases successes="1" failures="3" expectedFailures="1" skips="0"/>
</Catch2TestRun>
)";
}

std::unique_ptr<ColdFramework> Listed(
    const RecordedProgram& program = Version2()) {
  auto framework = MakeColdCatch2();
  REQUIRE(program.ListBy(*framework));
  return framework;
}

FrameworkReport Read(const std::vector<std::size_t>& tests,
                     const std::string& text) {
  return Listed()->Read(tests, XmlDocument::Parse(text));
}

TEST_CASE("the version of Catch2 is what --libidentify says") {
  CHECK(Catch2Version(kIdentity2) == 2);
  CHECK(Catch2Version(kIdentity3) == 3);
  CHECK(Catch2Version("version:  17.0\n") == 3);
  for (const char* text :
       {"", "version:", "version: 1.12", "version: x", "my version: 3"}) {
    CAPTURE(text);
    CHECK(Catch2Version(text) == 0);
  }
}

TEST_CASE("a listing of Catch2, version 2 and 3") {
  for (const bool is_3 : {false, true}) {
    CAPTURE(is_3);
    const auto listing =
        (is_3 ? Version3() : Version2()).ListBy(*MakeColdCatch2());
    REQUIRE(listing);
    CHECK(NamesOf(*listing) == kNames);
    CHECK(listing->tests[kFails].tags == Strings{"shop", "slow"});
    CHECK(listing->tests[kFails].file == "shop.cc");
    CHECK(listing->tests[kFails].line == 5);
    CHECK(listing->tests[kHidden].skip == "hidden by its tag [.]");
  }
}

TEST_CASE("what is no listing of Catch2 is an error with a hint") {
  for (const std::string& text :
       {std::string(), kTests3.substr(0, kTests3.size() / 2),
        std::string("<Catch2TestRun/>"), std::string(kTests2)}) {
    CAPTURE(text);
    RecordedProgram program;
    program.Answer({"--libidentify"}, kIdentity3);
    program.Answer({"--list-tests"}, text);
    const auto listing = program.ListBy(*MakeColdCatch2());
    REQUIRE_FALSE(listing);
    CHECK(listing.error().hint.find("--framework") != std::string::npos);
  }
  CHECK_FALSE(RecordedProgram().ListBy(*MakeColdCatch2()));
}

TEST_CASE("tags that do not fit the names are none") {
  CHECK(ReadCatch2Tags(kTests2, 5)[1] == Strings{"shop", "slow"});
  CHECK(ReadCatch2Tags(kTests2, 4).empty());
  CHECK(ReadCatch2Tags("", 1).empty());
  CHECK(ReadCatch2Tags("  name\n      [open\n", 1)[0].empty());
}

TEST_CASE("names of version 2 may be anything") {
  const auto tests = ReadCatch2Names(
      "plain\n\na\ttab\t@x.cc:3\nno line\t@x.cc:\nhuge\t@x.cc:12345678901\n");
  REQUIRE(tests.size() == 4);
  CHECK(tests[0].name == "plain");
  CHECK(tests[1].name == "a\ttab");
  CHECK(tests[1].line == 3);
  CHECK(tests[2].name == "no line");
  CHECK(tests[2].line == 0);
  CHECK(tests[3].name == "huge");
  CHECK(tests[3].line == 0);
}

TEST_CASE("a pattern means its test, whatever is in its name") {
  const auto framework = Listed();
  CHECK(framework->Select({kPasses, kFails}) ==
        Strings{"\"passes\",\"fails\""});
  CHECK(framework->Select({kHidden}) == Strings{"\"hidden\\, *\""});

  RecordedProgram stars;
  stars.Answer({"--libidentify"}, kIdentity2);
  stars.Answer({"--list-test-names-only"},
               "a*\t@a.cc:1\nab\t@a.cc:2\nb\t@a.cc:3\n", 3);
  stars.Answer({"--list-tests"}, "", 3);
  // A star at its end cannot be escaped: the others are left out by name.
  CHECK(Listed(stars)->Select({0}) == Strings{"\"a*\"~\"ab\""});
}

TEST_CASE("one test of version 3 is chosen by its place, several by name") {
  const auto framework = Listed(Version3());
  CHECK(framework->Select({kFails}) ==
        Strings{"--order", "decl", "--allow-running-no-tests", "*",
                "--shard-count", "5", "--shard-index", "1"});
  CHECK(framework->Select({kPasses, kFails}) ==
        Strings{"--order", "decl", "--allow-running-no-tests",
                "\"passes\",\"fails\""});
}

TEST_CASE("tests of version 3 with equal names are told apart by their lines") {
  RecordedProgram program;
  program.Answer({"--libidentify"}, kIdentity3);
  program.Answer({"--list-tests"}, "<?xml version=\"1.0\"?><MatchingTests>" +
                                       Listed3("passes", "[a]", "3") +
                                       Listed3("passes", "[b]", "4") +
                                       "</MatchingTests>");
  const auto framework = Listed(program);
  const auto document = XmlDocument::Parse(Report3(kPassed));
  CHECK(StatesOf(framework->Read({1}, document)) == Strings{"passed"});
  CHECK(framework->Read({0}, document).infrastructure.find("'passes'") !=
        std::string::npos);
}

TEST_CASE("every test of a document has Catch2's word, version 2 and 3") {
  const std::string cases = std::string(kPassed) + kFailed + kFailedAsItMay;
  for (const std::string& text : {Report2(cases), Report3(cases)}) {
    CAPTURE(text);
    const auto report = Read({kPasses, kFails, kMayFail}, text);
    CHECK(report.complete);
    CHECK(report.infrastructure.empty());
    CHECK(StatesOf(report) == Strings{"passed", "failed", "passed"});
    CHECK(report.tests[0].wall_us == 250'000);
    const auto& failures = report.tests[1].failures;
    REQUIRE(failures.size() == 3);
    CHECK(failures[0].message ==
          "CHECK( 1 + 1 == 3 )\nwith expansion:\n  2 == 3\n"
          "  logged: in the cart");
    CHECK(failures[0].where == "outer > inner");
    CHECK(failures[0].line == 6);
    CHECK(failures[1].message == "said so");
    CHECK(failures[2].message == "it threw an exception: no <more>");
    CHECK(report.tests[1].out == "printed");
    CHECK(report.tests[2].skip_reason == "failed as its tags allow or expect");
  }
}

TEST_CASE("a test of version 3 that skips is skipped") {
  const auto report = Read({kPasses}, Report3(kSkipped3));
  CHECK(StatesOf(report) == Strings{"skipped"});
  CHECK(report.tests[0].skip_reason == "closed");
}

TEST_CASE("a test of version 3 that failed as it may and skips has failed so") {
  const auto report = Read({kMayFail}, Report3(kFailedAsItMayAndSkipped3));
  CHECK(StatesOf(report) == Strings{"passed"});
  CHECK(report.tests[0].skip_reason == "failed as its tags allow or expect");
}

TEST_CASE("a crash that Catch2 has noticed is no end of the test") {
  const auto report = Read({kPasses}, Report2(kCrashed));
  CHECK(StatesOf(report) == Strings{"begun"});
  REQUIRE(report.tests[0].failures.size() == 1);
  CHECK(report.tests[0].failures[0].message ==
        "it crashed: SIGSEGV - Segmentation violation signal");
}

TEST_CASE("a document that ends anywhere makes nothing green") {
  const auto framework = Listed();
  const std::string cases = std::string(kFailed) + kPassed;
  for (const std::string& text : {Report2(cases), Report3(cases)}) {
    CHECK(FindBadBeginning(*framework, {kFails, kPasses}, text,
                           "<OverallResult success=\"true\"") == 0);
    CHECK(
        framework->Read({kFails, kPasses}, XmlDocument::Parse(text)).complete);
  }
}

TEST_CASE("a skip of version 3 that is cut off is no pass") {
  CHECK(FindBadBeginning(*Listed(), {kPasses}, Report3(kSkipped3),
                         "no pass at all") == 0);
}

TEST_CASE("another test than the one that was asked for is nobody's fault") {
  for (const auto& report : {Report2, Report3}) {
    CHECK(Read({kPasses}, report(std::string(kPassed) + kFailed))
              .infrastructure.find("'fails'") != std::string::npos);
    CHECK(Read({kPasses}, report(std::string(kPassed) + kPassed))
              .infrastructure.find("'passes'") != std::string::npos);
    CHECK(StatesOf(Read({kPasses}, report(""))) == Strings{"absent"});
  }
  CHECK_FALSE(Read({kPasses}, "").complete);
  CHECK_FALSE(Read({kPasses}, "<Catch2TestRun>").complete);
}

}  // namespace
}  // namespace forkserver::harness
