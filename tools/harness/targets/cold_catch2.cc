// Catch2 from outside, versions 2 and 3.
#include <algorithm>
#include <cctype>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "sdk/cpp/testing/unique_names.h"
#include "tools/harness/targets/catch2_listing.h"
#include "tools/harness/targets/cold_framework.h"
#include "tools/harness/targets/failure_list.h"

namespace forkserver::harness {
namespace {

constexpr int kMostNesting = 256;

bool IsTrue(std::string_view text) { return text == "true"; }

// As Catch2 compares names.
std::string Normalised(std::string_view name) {
  constexpr char kBlanks[] = " \t\n\r";
  const std::size_t begin = name.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  std::string text(
      name.substr(begin, name.find_last_not_of(kBlanks) - begin + 1));
  for (char& c : text) {
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return text;
}

// A pattern for one name, in quotes. A star at an end is a wildcard, which
// cannot be escaped, and "exclude:" at the beginning is a command.
std::string PatternFor(std::string_view name) {
  std::string pattern = "\"";
  if (Normalised(name).compare(0, 8, "exclude:") == 0) {
    pattern += '*';
    name.remove_prefix(name.find_first_not_of(" \t\n\r") + 1);
  }
  for (const char c : name) {
    if (c == '\\' || c == ',' || c == '"') pattern += '\\';
    pattern += c;
  }
  return pattern + "\"";
}

bool HasWildcard(std::string_view name) {
  return !name.empty() && (name.front() == '*' || name.back() == '*' ||
                           name.substr(0, 8) == "exclude:");
}

// Whether the pattern for `name` means `other` too; both normalised.
bool AlsoMeans(std::string_view name, std::string_view other) {
  bool at_start = false;
  bool at_end = false;
  if (name.substr(0, 8) == "exclude:") {
    at_start = true;
    name.remove_prefix(1);
  }
  if (!at_start && !name.empty() && name.front() == '*') {
    at_start = true;
    name.remove_prefix(1);
  }
  if (!name.empty() && name.back() == '*') {
    at_end = true;
    name.remove_suffix(1);
  }
  if (at_start && at_end) return other.find(name) != std::string_view::npos;
  if (other.size() < name.size()) return false;
  if (at_start) return other.substr(other.size() - name.size()) == name;
  if (at_end) return other.substr(0, name.size()) == name;
  return other == name;
}

class TestCaseReader {
 public:
  explicit TestCaseReader(XmlElement element) : element_(element) {}

  FrameworkWord Read() {
    word_.begun = true;
    ReadInside(element_, "", 0);
    if (const auto overall = element_.child("OverallResult");
        overall && !crashed_) {
      word_.ended = true;
      word_.wall_us = overall.microseconds("durationInSeconds");
      word_.out = overall.child("StdOut").text();
      word_.err = overall.child("StdErr").text();
      if (!IsTrue(overall.attribute("success"))) {
        word_.status = "failed";
        if (failures_.empty()) Add("the test failed", element_, "");
      } else if (!failures_.empty()) {
        word_.status = "passed";
        word_.skip_reason = "failed as its tags allow or expect";
      } else if (overall.number("skips") > 0) {
        word_.status = "skipped";
        word_.skip_reason = skip_;
      } else {
        word_.status = "passed";
      }
    }
    word_.failures = failures_.Take();
    return std::move(word_);
  }

 private:
  void ReadInside(XmlElement parent, const std::string& where, int depth) {
    if (depth > kMostNesting) return;
    std::string info;
    for (XmlElement child = parent.first_child(); child; child = child.next()) {
      const std::string_view name = child.name();
      if (name == "Section") {
        std::string deeper = where;
        if (!deeper.empty()) deeper += " > ";
        deeper += child.attribute("name");
        ReadInside(child, deeper, depth + 1);
      } else if (name == "Info" || name == "Warning") {
        info += "\n  logged: " + child.text();
        continue;
      } else if (name == "Expression") {
        if (!IsTrue(child.attribute("success"))) {
          Add(Describe(child) + info, child, where);
        }
      } else if (name == "Failure") {
        Add(child.text() + info, child, where);
      } else if (name == "Exception") {
        Add("it threw an exception: " + child.text() + info, child, where);
      } else if (name == "FatalErrorCondition") {
        crashed_ = true;
        Add("it crashed: " + child.text() + info, child, where);
      } else if (name == "Skip") {
        skip_ = child.text();
      }
      info.clear();
    }
  }

  std::string Describe(XmlElement element) {
    std::string text = std::string(element.attribute("type")) + "( " +
                       element.child("Original").text() + " )";
    if (const auto exception = element.child("Exception")) {
      return text + " threw an exception: " + exception.text();
    }
    if (const auto fatal = element.child("FatalErrorCondition")) {
      crashed_ = true;
      return text + " crashed: " + fatal.text();
    }
    return text + "\nwith expansion:\n  " + element.child("Expanded").text();
  }

  void Add(std::string message, XmlElement place, const std::string& where) {
    failures_.Add({std::move(message), std::string(place.attribute("filename")),
                   place.number("line"), where});
  }

  XmlElement element_;
  FrameworkWord word_;
  FailureList failures_;
  std::string skip_;
  bool crashed_ = false;
};

class ColdCatch2 final : public ColdFramework {
 public:
  std::string_view name() const override { return "catch2"; }

  Result<ColdListing> List(const ProgramRunner& run,
                           const std::string&) override {
    auto listed = ListCatch2Tests(run);
    if (!listed) return listed.error();
    version_ = listed->version;
    ColdListing listing;
    std::vector<PlacedName> names;
    for (protocol::ListedTest& each : listed->tests) {
      declared_.push_back({each.name, Normalised(each.name), each.line});
      names.push_back({each.name, each.file + ":" + std::to_string(each.line)});
    }
    const std::vector<std::string> unique = UniqueNames(names);
    for (std::size_t i = 0; i < unique.size(); ++i) {
      listed->tests[i].name = unique[i];
    }
    listing.tests = std::move(listed->tests);
    return listing;
  }

  std::vector<std::string> Report(const std::string& xml_path) const override {
    return {"--reporter", "xml", "--out", xml_path, "--durations", "yes"};
  }

  std::vector<std::string> Select(
      const std::vector<std::size_t>& tests) const override {
    if (version_ == 2) return {PatternsFor(tests)};
    // Without the last one a process all of whose tests skip exits with 4.
    std::vector<std::string> arguments = {"--order", "decl",
                                          "--allow-running-no-tests"};
    if (tests.size() == 1) {
      // By its place: names may be equal, and the listing escapes some bytes.
      arguments.insert(arguments.end(),
                       {"*", "--shard-count", std::to_string(declared_.size()),
                        "--shard-index", std::to_string(tests.front())});
    } else {
      arguments.push_back(PatternsFor(tests));
    }
    return arguments;
  }

  FrameworkReport Read(const std::vector<std::size_t>& tests,
                       const XmlDocument& document) const override {
    std::vector<XmlTest> ran;
    std::vector<std::string> strangers;
    std::vector<bool> found(declared_.size());
    const XmlElement root = document.root();
    // Version 2 has groups, 3 has none.
    for (XmlElement outer = root.first_child(); outer; outer = outer.next()) {
      XmlElement element =
          outer.name() == "Group" ? outer.first_child() : outer;
      for (; element;
           element = outer.name() == "Group" ? element.next() : XmlElement()) {
        if (element.name() != "TestCase") continue;
        if (const auto test = Find(tests, element, found)) {
          found[*test] = true;
          ran.push_back({*test, TestCaseReader(element).Read()});
        } else {
          strangers.emplace_back(element.attribute("name"));
        }
      }
    }
    const bool complete =
        document.problem().empty() && root.child("OverallResults");
    return JoinXmlTests(tests, std::move(ran), strangers, complete);
  }

 private:
  struct Declared {
    std::string name;  // Catch2's
    std::string normalised;
    std::int64_t line;  // 0: unknown
  };

  std::string PatternsFor(const std::vector<std::size_t>& tests) const {
    std::string spec;
    for (const std::size_t test : tests) {
      const std::string& normalised = declared_[test].normalised;
      if (!spec.empty()) spec += ',';
      spec += PatternFor(declared_[test].name);
      if (!HasWildcard(normalised)) continue;
      for (const Declared& other : declared_) {
        if (other.normalised != normalised &&
            AlsoMeans(normalised, other.normalised)) {
          spec += "~" + PatternFor(other.name);
        }
      }
    }
    return spec;
  }

  std::optional<std::size_t> Find(const std::vector<std::size_t>& tests,
                                  XmlElement element,
                                  const std::vector<bool>& found) const {
    const std::string_view name = element.attribute("name");
    for (const std::size_t test : tests) {
      const Declared& declared = declared_[test];
      if (!found[test] && Trimmed(declared.name) == Trimmed(name) &&
          (declared.line == 0 || declared.line == element.number("line"))) {
        return test;
      }
    }
    return std::nullopt;
  }

  static std::string_view Trimmed(std::string_view text) {
    constexpr char kBlanks[] = " \t\n\r";
    const std::size_t begin = text.find_first_not_of(kBlanks);
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
  }

  int version_ = 0;
  std::vector<Declared> declared_;
};

}  // namespace

std::unique_ptr<ColdFramework> MakeColdCatch2() {
  return std::make_unique<ColdCatch2>();
}

}  // namespace forkserver::harness
