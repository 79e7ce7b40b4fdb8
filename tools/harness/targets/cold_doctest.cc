// doctest from outside, 2.3 or later.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "sdk/cpp/testing/unique_names.h"
#include "tools/harness/targets/cold_framework.h"
#include "tools/harness/targets/failure_list.h"

namespace forkserver::harness {
namespace {

// With doctest's prefix: without it options may be switched off.
constexpr char kXml[] = "--dt-reporters=xml";
constexpr char kOrder[] = "--dt-order-by=file";
// A name is at most so long in a list of names: the kernel takes no longer
// argument than 128 KiB.
constexpr std::size_t kMostNameBytes = 100u << 10;
// Subcases of subcases.
constexpr int kMostNesting = 256;

bool IsTrue(std::string_view text) { return text == "true"; }

std::string LoggedIn(XmlElement element) {
  std::string text;
  for (XmlElement child = element.first_child(); child; child = child.next()) {
    if (child.name() == "Info") text += "\n  logged: " + child.text();
  }
  return text;
}

// The words of doctest's console.
std::string DescribeExpression(XmlElement element) {
  const std::string type(element.attribute("type"));
  std::string text = type + "( " + element.child("Original").text();
  if (const auto expected = element.child("ExpectedExceptionString")) {
    text += ", \"" + expected.text() + "\"";
  }
  if (const auto expected = element.child("ExpectedException")) {
    text += ", " + expected.text();
  }
  text += " ) ";
  const bool throws = type.find("THROW") != std::string::npos;
  const bool no_throw = type.find("NOTHROW") != std::string::npos;
  if (const auto exception = element.child("Exception")) {
    text += (throws && !no_throw ? "threw a DIFFERENT exception: "
                                 : "THREW exception: ") +
            exception.text();
  } else if (throws && !no_throw) {
    text += "did NOT throw at all!";
  } else {
    text += "is NOT correct!";
    if (const auto expanded = element.child("Expanded")) {
      text += "\n  values: " + type + "( " + expanded.text() + " )";
    }
  }
  return text + LoggedIn(element);
}

class TestCaseReader {
 public:
  explicit TestCaseReader(XmlElement element) : element_(element) {}

  FrameworkWord Read() {
    word_.begun = true;
    ReadInside(element_, "", 0);
    const auto overall = element_.child("OverallResultsAsserts");
    if (overall && !crashed_) {
      word_.ended = true;
      word_.wall_us = overall.microseconds("duration");
      const bool success =
          overall.has_attribute("test_case_success")
              ? IsTrue(overall.attribute("test_case_success"))
              : failures_.empty() || IsTrue(element_.attribute("may_fail"));
      word_.status = success ? "passed" : "failed";
      Explain(success);
    }
    word_.failures = failures_.Take();
    return std::move(word_);
  }

 private:
  void ReadInside(XmlElement parent, const std::string& where, int depth) {
    if (depth > kMostNesting) return;
    for (XmlElement child = parent.first_child(); child; child = child.next()) {
      const std::string_view name = child.name();
      if (name == "SubCase") {
        std::string deeper = where;
        if (!deeper.empty()) deeper += " > ";
        deeper += child.attribute("name");
        ReadInside(child, deeper, depth + 1);
      } else if (name == "Expression") {
        if (IsTrue(child.attribute("success"))) continue;
        if (child.attribute("type").substr(0, 4) == "WARN") continue;
        Add(DescribeExpression(child), child, where);
      } else if (name == "Message") {
        const std::string_view type = child.attribute("type");
        if (type != "ERROR" && type != "FATAL ERROR") continue;
        Add(child.child("Text").text() + LoggedIn(child), child, where);
      } else if (name == "Exception") {
        const bool crash = IsTrue(child.attribute("crash"));
        crashed_ |= crash;
        Add((crash ? "test case CRASHED: " : "test case THREW exception: ") +
                child.text(),
            element_, where);
      }
    }
  }

  void Add(std::string message, XmlElement place, const std::string& where) {
    failures_.Add({std::move(message), std::string(place.attribute("filename")),
                   place.number("line"), where});
  }

  // Why doctest counts it as it does: what its console says, from the
  // decorators that the XML has.
  void Explain(bool success) {
    const bool should_fail = IsTrue(element_.attribute("should_fail"));
    const bool may_fail = IsTrue(element_.attribute("may_fail"));
    const auto overall = element_.child("OverallResultsAsserts");
    const std::string expected(overall.attribute("expected_failures"));
    if (success && should_fail) {
      word_.skip_reason = "Failed as expected so marking it as not failed";
    } else if (success && may_fail && !failures_.empty()) {
      word_.skip_reason = "Allowed to fail so marking it as not failed";
    } else if (success && !expected.empty()) {
      word_.skip_reason = "Failed exactly " + expected +
                          " times as expected so marking it as not failed!";
    } else if (!success && should_fail) {
      Add("Should have failed but didn't! Marking it as failed!", element_, "");
    } else if (!success && !expected.empty()) {
      Add("Didn't fail exactly " + expected + " times so marking it as failed!",
          element_, "");
    } else if (!success && failures_.empty() &&
               element_.has_attribute("timeout")) {
      Add("Test case exceeded time limit of " +
              std::string(element_.attribute("timeout")) + " s",
          element_, "");
    }
  }

  XmlElement element_;
  FrameworkWord word_;
  FailureList failures_;
  bool crashed_ = false;
};

class ColdDoctest final : public ColdFramework {
 public:
  std::string_view name() const override { return "doctest"; }

  Result<ColdListing> List(const ProgramRunner& run,
                           const std::string& xml_path) override {
    auto output = run({kXml, kOrder, "--dt-out=" + xml_path, "--dt-no-skip",
                       "--dt-list-test-cases"});
    if (!output) return output.error();
    auto document = XmlDocument::Read(xml_path);
    const bool good = output->exit.code == 0 && document &&
                      document->problem().empty() &&
                      document->root().name() == "doctest";
    if (!good) {
      return MakeError(
          error_code::kMalformed,
          "its tests cannot be listed by --dt-list-test-cases: " +
              (document && !document->problem().empty() ? document->problem()
                                                        : "") +
              DescribeFailure(*output),
          "is it a doctest program, 2.3 or later? Say so with --framework");
    }
    return Take(document->root());
  }

  std::vector<std::string> Report(const std::string& xml_path) const override {
    return {kXml, "--dt-out=" + xml_path, "--dt-duration",
            "--dt-no-skipped-summary", "--dt-no-breaks"};
  }

  std::vector<std::string> Select(
      const std::vector<std::size_t>& tests) const override {
    std::vector<std::string> arguments = {kOrder, "--dt-no-skip"};
    std::vector<std::size_t> sorted = tests;
    std::sort(sorted.begin(), sorted.end());
    if (sorted.back() - sorted.front() + 1 == sorted.size()) {
      // By number: a name could not be written so that it stands for itself.
      arguments.push_back("--dt-first=" + std::to_string(sorted.front() + 1));
      arguments.push_back("--dt-last=" + std::to_string(sorted.back() + 1));
    } else {
      arguments.push_back("--dt-case-sensitive");
      arguments.push_back("--dt-test-case=" + Patterns(tests));
    }
    return arguments;
  }

  FrameworkReport Read(const std::vector<std::size_t>& tests,
                       const XmlDocument& document) const override {
    std::vector<XmlTest> ran;
    std::vector<std::string> strangers;
    std::vector<bool> found(cases_.size());
    const XmlElement root = document.root();
    for (XmlElement suite = root.first_child(); suite; suite = suite.next()) {
      if (suite.name() != "TestSuite") continue;
      for (XmlElement element = suite.first_child(); element;
           element = element.next()) {
        if (element.name() != "TestCase") continue;
        if (IsTrue(element.attribute("skipped"))) continue;
        if (const auto test = Find(tests, element, found)) {
          found[*test] = true;
          ran.push_back({*test, TestCaseReader(element).Read()});
        } else {
          strangers.emplace_back(element.attribute("name"));
        }
      }
    }
    const bool complete =
        document.problem().empty() && root.child("OverallResultsTestCases");
    return JoinXmlTests(tests, std::move(ran), strangers, complete);
  }

 private:
  struct Case {
    std::string name;  // doctest's
    std::string file;
    std::string line;
  };

  ColdListing Take(XmlElement root) {
    ColdListing listing;
    std::vector<PlacedName> names;
    for (XmlElement each = root.first_child(); each; each = each.next()) {
      if (each.name() != "TestCase") continue;
      Case test{std::string(each.attribute("name")),
                std::string(each.attribute("filename")),
                std::string(each.attribute("line"))};
      protocol::ListedTest listed;
      listed.suite = each.attribute("testsuite");
      listed.file = test.file;
      listed.line = each.number("line");
      if (!listed.suite.empty()) listed.tags.push_back(listed.suite);
      if (IsTrue(each.attribute("skipped"))) listed.skip = "doctest::skip()";
      names.push_back({test.name, test.file + ":" + test.line});
      listing.tests.push_back(std::move(listed));
      cases_.push_back(std::move(test));
    }
    const std::vector<std::string> unique = UniqueNames(names);
    for (std::size_t i = 0; i < unique.size(); ++i) {
      listing.tests[i].name = unique[i];
    }
    return listing;
  }

  std::string Patterns(const std::vector<std::size_t>& tests) const {
    std::string patterns;
    for (const std::size_t test : tests) {
      if (!patterns.empty()) patterns += ',';
      for (const char c : cases_[test].name) {
        // One character, whichever: not all versions know an escape.
        patterns += c == ',' || c == '*' || c == '\\' ? '?' : c;
      }
      if (patterns.size() > kMostNameBytes) break;
    }
    return patterns;
  }

  // Equal ones come in the order of the listing.
  std::optional<std::size_t> Find(const std::vector<std::size_t>& tests,
                                  XmlElement element,
                                  const std::vector<bool>& found) const {
    for (const std::size_t test : tests) {
      const Case& each = cases_[test];
      if (!found[test] && each.name == element.attribute("name") &&
          each.line == element.attribute("line") &&
          each.file == element.attribute("filename")) {
        return test;
      }
    }
    return std::nullopt;
  }

  std::vector<Case> cases_;
};

}  // namespace

std::unique_ptr<ColdFramework> MakeColdDoctest() {
  return std::make_unique<ColdDoctest>();
}

}  // namespace forkserver::harness
