#include "tools/harness/report/junit.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <pugixml.hpp>
#include <string>

#include "tests/harness/synthetic_run.h"
#include "tests/unit/leftovers.h"

namespace forkserver::harness {
namespace {

namespace fs = std::filesystem;

constexpr char kRender[] = "bazel-bin/render/render_test";

class JunitFile {
 public:
  JunitFile() {
    std::string name = fs::temp_directory_path() / "junit_test_XXXXXX";
    folder_ = ::mkdtemp(name.data());
    path_ = folder_ / "a.xml";
  }
  JunitFile(const JunitFile&) = delete;
  JunitFile& operator=(const JunitFile&) = delete;
  ~JunitFile() { fs::remove_all(folder_); }

  std::unique_ptr<JunitReporter> Reporter(bool output_of_passed = false) {
    auto reporter = JunitReporter::Create({path_, output_of_passed});
    REQUIRE(reporter);
    return std::move(*reporter);
  }
  pugi::xml_node Read() {
    // As it is: white space too.
    const auto result = document_.load_file(path_.c_str(), pugi::parse_full);
    REQUIRE_MESSAGE(result, result.description());
    return document_.child("testsuites");
  }
  // The testcase whose name ends with this number.
  pugi::xml_node Case(const pugi::xml_node& root, const std::string& number) {
    for (const auto& suite : root.children("testsuite")) {
      for (const auto& one : suite.children("testcase")) {
        const std::string name = one.attribute("name").value();
        if (name.ends_with(" " + number)) return one;
      }
    }
    FAIL("no test ", number);
    return {};
  }

 private:
  fs::path folder_;
  std::string path_;
  pugi::xml_document document_;
};

std::string Value(const pugi::xml_node& node, const char* attribute) {
  return node.attribute(attribute).value();
}

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("the file has a suite for each target, with its counts") {
  const testing::NoLeftovers leftovers;
  JunitFile file;
  const SyntheticRun run({});
  auto reporter = file.Reporter();
  REQUIRE(run.TellAll(*reporter));
  const pugi::xml_node root = file.Read();
  CHECK(Value(root, "tests") == "60");
  CHECK(Value(root, "failures") == "4");
  CHECK(Value(root, "errors") == "3");
  CHECK(Value(root, "skipped") == "2");
  CHECK(Value(root, "time") == "3.034200");
  CHECK(Value(root, "timestamp") == "2026-01-01T12:00:00Z");
  std::vector<std::string> names;
  int tests = 0;
  for (const auto& suite : root.children("testsuite")) {
    names.push_back(Value(suite, "name"));
    int failures = 0;
    int errors = 0;
    int skipped = 0;
    int cases = 0;
    for (const auto& one : suite.children("testcase")) {
      ++cases;
      failures += one.child("failure") ? 1 : 0;
      errors += one.child("error") ? 1 : 0;
      skipped += one.child("skipped") ? 1 : 0;
    }
    tests += cases;
    CHECK(suite.attribute("tests").as_int() == cases);
    CHECK(suite.attribute("failures").as_int() == failures);
    CHECK(suite.attribute("errors").as_int() == errors);
    CHECK(suite.attribute("skipped").as_int() == skipped);
  }
  CHECK(tests == 60);
  CHECK(names == std::vector<std::string>{kRender, "tests/test_orders.py",
                                          "bazel-bin/physics/solver_test"});
  const pugi::xml_node properties = root.child("testsuite").child("properties");
  const auto property = [&](const char* name) {
    return Value(properties.find_child_by_attribute("name", name), "value");
  };
  CHECK(property("framework") == "doctest");
  CHECK(property("warm") == "true");
  CHECK(property("slots") == "4");
  CHECK(property("note") == "longest first");
}

TEST_CASE("each verdict has its elements") {
  JunitFile file;
  const SyntheticRun run({});
  auto reporter = file.Reporter();
  REQUIRE(run.TellAll(*reporter));
  const pugi::xml_node root = file.Read();

  const pugi::xml_node passed = file.Case(root, "2");
  CHECK(Value(passed, "classname") ==
        "bazel-bin/physics/solver_test.SolverTest");
  CHECK(Value(passed, "file") == "physics/solver_test.cc");
  CHECK(Value(passed, "line") == "22");
  CHECK(passed.attribute("time").as_double() > 0);
  CHECK_FALSE(passed.first_child());

  const pugi::xml_node failed = file.Case(root, "3");
  CHECK(Value(failed.child("failure"), "type") == "fail");
  CHECK(Has(Value(failed.child("failure"), "message"),
            "render/textures_test.cc:42: CHECK( pixel =="));
  CHECK(Has(failed.child("failure").text().get(),
            "render/textures_test.cc:57:\nCHECK( image.width() == 640 )"));
  CHECK(Has(failed.child("system-out").text().get(), "ok 3 textures\n"));
  CHECK_FALSE(Has(failed.child("system-out").text().get(), "[32m"));
  CHECK(Has(failed.child("system-err").text().get(), "no GPU"));
  CHECK(Value(failed.child("properties").child("property"), "value") ==
        "textures");

  const pugi::xml_node crashed = file.Case(root, "9");
  CHECK(Value(crashed.child("error"), "type") == "crash");
  CHECK(Value(crashed.child("error"), "message") ==
        "SIGSEGV at address 0x8 (SEGV_MAPERR)");
  CHECK(Has(crashed.child("error").text().get(), "render/texture.cc:118"));

  CHECK(Value(file.Case(root, "14").child("error"), "type") == "timeout");
  CHECK(Has(file.Case(root, "16").child("failure").text().get(),
            "4711 sleep 100"));
  CHECK(Value(file.Case(root, "5").child("skipped"), "message") ==
        "os: no GPU on this machine");
  CHECK(Value(file.Case(root, "19").child("error"), "type") ==
        "infrastructure");
}

TEST_CASE("attempts are told as Surefire tells them") {
  JunitFile file;
  const SyntheticRun run({});
  auto reporter = file.Reporter();
  REQUIRE(run.TellAll(*reporter));
  const pugi::xml_node root = file.Read();

  const pugi::xml_node flaky = file.Case(root, "11");
  CHECK_FALSE(flaky.child("failure"));
  CHECK(Value(flaky.child("flakyFailure"), "type") == "fail");
  CHECK(Has(flaky.child("flakyFailure").child("stackTrace").text().get(),
            "CHECK( pixel"));
  CHECK(Has(flaky.child("flakyFailure").child("system-out").text().get(),
            "lights"));

  // The first failure is the failure; the second attempt crashed.
  const pugi::xml_node rerun = file.Case(root, "17");
  CHECK(Value(rerun.child("failure"), "type") == "fail");
  CHECK(Value(rerun.child("rerunError"), "type") == "crash");
  CHECK_FALSE(rerun.child("error"));
  const auto reruns = file.Case(root, "27").children("rerunFailure");
  CHECK(std::distance(reruns.begin(), reruns.end()) == 2);
}

TEST_CASE("names and output of any bytes are read back as they were") {
  JunitFile file;
  const SyntheticRun run({});
  auto reporter = file.Reporter();
  REQUIRE(run.TellAll(*reporter));
  const pugi::xml_node odd = file.Case(file.Read(), "27");
  CHECK(Value(odd, "name") == "<b>\"odd\" & 'name'</b>\n \xEF\xBF\xBD 27");
  const std::string out = odd.child("system-out").text().get();
  CHECK(Has(out, "</script><script>alert(1)</script>\n"));
  CHECK(Has(out, "<!-- <script> ]]> --> ?>\n"));
  CHECK(Has(out, "nul \xEF\xBF\xBD here"));
  CHECK(Has(Value(odd.child("failure"), "message"), "'<b>&amp;</b>' ]]>"));
}

TEST_CASE("output of tests that passed is there where it is asked for") {
  const SyntheticRun run({});
  Attempt attempt = run.results()[2].last();
  attempt.out.head = "passed and spoke\n";
  TestResult result;
  result.test = 2;
  result.verdict = Verdict::kPass;
  result.attempts = {attempt};
  for (const bool wanted : {false, true}) {
    JunitFile file;
    auto reporter = file.Reporter(wanted);
    reporter->OnRunBegan(run.plan());
    reporter->OnTestEnded(result);
    CHECK(Has(file.Case(file.Read(), "2").child("system-out").text().get(),
              "spoke") == wanted);
  }
}

TEST_CASE("while it goes on the file has every result that was told") {
  JunitFile file;
  const SyntheticRun run({});
  auto reporter = file.Reporter();
  CHECK(Value(file.Read(), "name") == "forkserver test");
  for (const TargetReady& target : run.targets()) {
    reporter->OnTargetReady(target);
  }
  reporter->OnRunBegan(run.plan());
  std::size_t told = 0;
  for (const SyntheticEvent& event : run.events()) {
    run.Tell(event, *reporter);
    if (event.kind != SyntheticEvent::Kind::kTestEnded) continue;
    ++told;
    std::size_t there = 0;
    for (const auto& suite : file.Read().children("testsuite")) {
      for (const auto& one : suite.children("testcase")) {
        there += one ? 1 : 0;
      }
    }
    CHECK(there == told);
  }
}

TEST_CASE("what was not run, and what went wrong beside tests, is told") {
  JunitFile file;
  const SyntheticRun run({});
  auto reporter = file.Reporter();
  TargetReady broken;
  broken.label = "gone_test";
  broken.errors = {"gone_test: no such file"};
  reporter->OnTargetReady(broken);
  reporter->OnRunBegan(run.plan());
  for (std::size_t i = 0; i < 20; ++i) run.Tell(run.events()[i], *reporter);
  RunSummary summary = run.Summary(20);
  summary.stopped_because = "--fail-fast";
  summary.errors = {"target gone_test: no such file", "gone_test: no such file",
                    "the daemon has gone"};
  REQUIRE(reporter->OnRunEnded(summary));
  const pugi::xml_node root = file.Read();
  CHECK(Value(root, "tests") == "62");
  CHECK(Value(file.Case(root, "59").child("skipped"), "message") ==
        "not run: --fail-fast");
  const auto suite = [&](const char* name) {
    return root.find_child_by_attribute("testsuite", "name", name);
  };
  CHECK(Value(suite("gone_test").child("testcase").child("error"), "message") ==
        "gone_test: no such file");
  // Told already; it is not told again.
  CHECK(Value(suite("forkserver test"), "errors") == "1");
}

TEST_CASE("a repeated test is there as often as it ran") {
  JunitFile file;
  const SyntheticRun run({});
  auto reporter = file.Reporter();
  reporter->OnRunBegan(run.plan());
  for (int i = 0; i < 3; ++i) reporter->OnTestEnded(run.results()[2]);
  const auto cases = file.Read().child("testsuite").children("testcase");
  CHECK(std::distance(cases.begin(), cases.end()) == 3);
}

}  // namespace
}  // namespace forkserver::harness
