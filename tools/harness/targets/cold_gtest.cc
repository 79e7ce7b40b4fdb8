// GoogleTest from outside. Listings of a program before 1.8.1 are text.
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "sdk/cpp/testing/unique_names.h"
#include "tools/harness/targets/cold_framework.h"
#include "tools/harness/targets/failure_list.h"

namespace forkserver::harness {
namespace {

bool IsDisabled(std::string_view name) {
  constexpr std::string_view kPrefix = "DISABLED_";
  return name.substr(0, kPrefix.size()) == kPrefix ||
         name.find("/DISABLED_") != std::string_view::npos;
}

// A filter cannot say that a character stands for itself: the others match any
// one character, and the report shows whether another test was meant too.
std::string FilterFor(const std::string& name) {
  std::string filter = name;
  for (char& c : filter) {
    if (c == '*' || c == ':' || c == '-') c = '?';
  }
  return filter;
}

// "fonts_test.cc:12\nmessage": how failures and skips begin.
struct Placed {
  std::string file;
  std::int64_t line = 0;
  std::string message;
};
Placed SplitPlace(const std::string& text) {
  const std::size_t end = text.find('\n');
  const std::string first = text.substr(0, end);
  const std::size_t colon = first.rfind(':');
  Placed placed;
  if (colon != std::string::npos && colon + 1 < first.size() &&
      first.find_first_not_of("0123456789", colon + 1) == std::string::npos &&
      first.size() - colon <= 10) {
    placed.file = first.substr(0, colon);
    placed.line = std::stoll(first.substr(colon + 1));
    placed.message = end == std::string::npos ? "" : text.substr(end + 1);
  } else if (first == "unknown file") {
    placed.message = end == std::string::npos ? "" : text.substr(end + 1);
  } else {
    placed.message = text;
  }
  return placed;
}

protocol::TestFailure FailureOf(XmlElement element, const std::string& where) {
  std::string text = element.text();
  if (text.empty()) text = element.attribute("message");
  Placed placed = SplitPlace(text);
  return {std::move(placed.message), std::move(placed.file), placed.line,
          where};
}

// It says of a test that an Environment has skipped that it was run and
// completed, at the beginning of time.
bool WasNeverStarted(XmlElement element) {
  const std::string_view day = element.attribute("timestamp").substr(0, 10);
  return day == "1970-01-01" || day == "1969-12-31";  // in any time zone
}

FrameworkWord ReadTestCase(XmlElement element) {
  FrameworkWord word;
  word.begun = word.ended = true;
  word.wall_us = element.microseconds("time");
  std::string where;
  if (element.has_attribute("type_param")) {
    where = "TypeParam = " + std::string(element.attribute("type_param"));
  }
  if (element.has_attribute("value_param")) {
    if (!where.empty()) where += ", ";
    where += "GetParam() = " + std::string(element.attribute("value_param"));
  }
  FailureList failures;
  for (XmlElement each = element.first_child(); each; each = each.next()) {
    if (each.name() == "failure") failures.Add(FailureOf(each, where));
    if (each.name() == "skipped") {
      std::string text = each.text();
      if (text.empty()) text = each.attribute("message");
      word.skip_reason = SplitPlace(text).message;
    }
  }
  if (!element.is_whole()) {
    // A failure could follow.
    word.ended = false;
  } else if (!failures.empty()) {
    word.status = "failed";
  } else if (element.attribute("result") == "skipped" ||
             element.child("skipped")) {
    word.status = "skipped";
  } else if (WasNeverStarted(element)) {
    word.status = "skipped";
    word.skip_reason = "it was not started: an Environment has skipped it";
  } else {
    word.status = "passed";
  }
  word.failures = failures.Take();
  return word;
}

class ColdGoogleTest final : public ColdFramework {
 public:
  std::string_view name() const override { return "gtest"; }

  Result<ColdListing> List(const ProgramRunner& run,
                           const std::string& xml_path) override {
    auto output = run({"--gtest_list_tests", "--gtest_output=xml:" + xml_path});
    if (!output) return output.error();
    if (output->exit.code != 0) {
      return MakeError(error_code::kMalformed,
                       "its tests cannot be listed by --gtest_list_tests: " +
                           DescribeFailure(*output));
    }
    std::vector<Case> cases;
    auto document = XmlDocument::Read(xml_path);
    if (document && document->problem().empty() &&
        document->root().name() == "testsuites") {
      cases = FromXml(document->root());
    } else {
      cases = FromText(output->out);
    }
    if (cases.empty() && output->out.find('.') != std::string::npos) {
      return MakeError(error_code::kMalformed,
                       "its tests cannot be listed by --gtest_list_tests: what "
                       "it prints is no list",
                       "is it a GoogleTest program? Say so with --framework");
    }
    return Take(std::move(cases));
  }

  // Not to be told by a flag, which an older one would not know.
  std::vector<std::string> variables() const override {
    return {"GTEST_BRIEF=1"};
  }

  std::vector<std::string> Report(const std::string& xml_path) const override {
    return {"--gtest_output=xml:" + xml_path};
  }

  std::vector<std::string> Select(
      const std::vector<std::size_t>& tests) const override {
    std::string filter;
    for (const std::size_t test : tests) {
      if (!filter.empty()) filter += ':';
      filter += FilterFor(names_[test]);
    }
    return {"--gtest_filter=" + filter};
  }

  FrameworkReport Read(const std::vector<std::size_t>& tests,
                       const XmlDocument& document) const override {
    std::unordered_map<std::string_view, std::vector<std::size_t>> by_name;
    for (auto test = tests.rbegin(); test != tests.rend(); ++test) {
      by_name[names_[*test]].push_back(*test);
    }
    std::vector<XmlTest> ran;
    std::vector<std::string> strangers;
    FailureList outside;  // of suites and environments
    const XmlElement root = document.root();
    for (XmlElement suite = root.first_child(); suite; suite = suite.next()) {
      for (XmlElement element = suite.first_child(); element;
           element = element.next()) {
        if (element.name() != "testcase") continue;
        if (element.attribute("name").empty()) {
          FrameworkWord word = ReadTestCase(element);
          for (auto& failure : word.failures) {
            failure.where = "outside of the test";
            outside.Add(std::move(failure));
          }
          continue;
        }
        if (element.attribute("status") == "notrun") continue;
        const std::string full = std::string(suite.attribute("name")) + "." +
                                 std::string(element.attribute("name"));
        const auto found = by_name.find(full);
        if (found == by_name.end() || found->second.empty()) {
          strangers.push_back(full);
          continue;
        }
        ran.push_back({found->second.back(), ReadTestCase(element)});
        found->second.pop_back();
      }
    }
    if (!outside.empty()) Blame(ran, outside.Take());
    const bool complete =
        document.problem().empty() && root.name() == "testsuites";
    return JoinXmlTests(tests, std::move(ran), strangers, complete);
  }

 private:
  struct Case {
    std::string suite;
    std::string name;
    std::string file;
    std::int64_t line = 0;
  };

  // What the set-up or the end of a suite, or an environment, got wrong is a
  // failure of the tests that depend on it.
  static void Blame(std::vector<XmlTest>& ran,
                    const std::vector<protocol::TestFailure>& failures) {
    for (XmlTest& each : ran) {
      each.word.status = "failed";
      each.word.failures.insert(each.word.failures.end(), failures.begin(),
                                failures.end());
    }
  }

  static std::vector<Case> FromXml(XmlElement root) {
    std::vector<Case> cases;
    for (XmlElement suite = root.first_child(); suite; suite = suite.next()) {
      for (XmlElement each = suite.first_child(); each; each = each.next()) {
        if (each.name() != "testcase") continue;
        cases.push_back({std::string(suite.attribute("name")),
                         std::string(each.attribute("name")),
                         std::string(each.attribute("file")),
                         each.number("line")});
      }
    }
    return cases;
  }

  // "Suite.\n  Name\n  Name/0  # GetParam() = 3\n"
  static std::vector<Case> FromText(const std::string& text) {
    std::vector<Case> cases;
    std::string suite;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      std::string line = text.substr(at, end - at);
      at = end + 1;
      const std::size_t comment = line.find("  # ");
      if (comment != std::string::npos) line.resize(comment);
      if (line.compare(0, 2, "  ") == 0) {
        if (!suite.empty()) cases.push_back({suite, line.substr(2), "", 0});
      } else if (!line.empty() && line.back() == '.') {
        suite = line.substr(0, line.size() - 1);
      } else {
        suite.clear();  // something that the program prints
      }
    }
    return cases;
  }

  ColdListing Take(std::vector<Case> cases) {
    ColdListing listing;
    std::vector<PlacedName> names;
    for (Case& each : cases) {
      protocol::ListedTest listed;
      const std::string full = each.suite + "." + each.name;
      if (IsDisabled(each.suite) || IsDisabled(each.name)) {
        listed.skip = "DISABLED_";
      }
      names.push_back({full, each.file + ":" + std::to_string(each.line)});
      listed.suite = std::move(each.suite);
      listed.file = std::move(each.file);
      listed.line = each.line;
      listing.tests.push_back(std::move(listed));
      names_.push_back(full);
    }
    const std::vector<std::string> unique = UniqueNames(names);
    for (std::size_t i = 0; i < unique.size(); ++i) {
      listing.tests[i].name = unique[i];
    }
    return listing;
  }

  std::vector<std::string> names_;  // GoogleTest's
};

}  // namespace

std::unique_ptr<ColdFramework> MakeColdGoogleTest() {
  return std::make_unique<ColdGoogleTest>();
}

}  // namespace forkserver::harness
