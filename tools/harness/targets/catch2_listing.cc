#include "tools/harness/targets/catch2_listing.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace forkserver::harness {
namespace {

constexpr char kHidden[] = "hidden by its tag [.]";

Error CannotList(const char* how, const CommandOutput& output) {
  return MakeError(error_code::kMalformed,
                   std::string("its tests cannot be listed by ") + how + ": " +
                       DescribeFailure(output),
                   "is it a Catch2 program? Say so with --framework");
}

std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

// "[fast][.][!mayfail]"
std::vector<std::string> SplitTags(std::string_view text) {
  std::vector<std::string> tags;
  while (true) {
    const std::size_t begin = text.find('[');
    const std::size_t end = text.find(']', begin);
    if (begin == std::string_view::npos || end == std::string_view::npos) {
      return tags;
    }
    tags.emplace_back(text.substr(begin + 1, end - begin - 1));
    text.remove_prefix(end + 1);
  }
}

bool IsHidden(const std::vector<std::string>& tags) {
  return std::any_of(tags.begin(), tags.end(), [](const std::string& tag) {
    return tag.compare(0, 1, ".") == 0 || tag == "!hide" || tag == "!benchmark";
  });
}

// Version 2 exits with the number of tests that it listed.
bool HasEnded(const CommandOutput& output) {
  return output.exit.code.has_value();
}

Result<std::vector<protocol::ListedTest>> ListVersion2(
    const ProgramRunner& run) {
  auto all = run({"*", "--list-test-names-only", "--verbosity", "high"});
  if (!all) return all.error();
  if (!HasEnded(*all)) return CannotList("--list-test-names-only", *all);
  std::vector<protocol::ListedTest> tests = ReadCatch2Names(all->out);
  auto visible = run({"--list-test-names-only", "--verbosity", "high"});
  if (!visible) return visible.error();
  auto described = run({"*", "--list-tests"});
  if (!described) return described.error();
  const auto tags = ReadCatch2Tags(described->out, tests.size());
  // In the order of all: those that are missing are hidden.
  const auto shown = ReadCatch2Names(visible->out);
  std::size_t next = 0;
  for (std::size_t i = 0; i < tests.size(); ++i) {
    if (next < shown.size() && shown[next].name == tests[i].name) {
      ++next;
    } else {
      tests[i].skip = kHidden;
    }
    if (i < tags.size()) tests[i].tags = tags[i];
  }
  return tests;
}

Result<std::vector<protocol::ListedTest>> ListVersion3(
    const ProgramRunner& run) {
  auto all = run({"*", "--list-tests", "--reporter", "xml", "--order", "decl"});
  if (!all) return all.error();
  if (all->exit.code != 0) return CannotList("--list-tests", *all);
  return ReadCatch2Xml(std::move(all->out));
}

}  // namespace

Result<Catch2Listing> ListCatch2Tests(const ProgramRunner& run) {
  auto identity = run({"--libidentify"});
  if (!identity) return identity.error();
  const int version = Catch2Version(identity->out);
  if (version == 0) return CannotList("--libidentify", *identity);
  auto tests = version == 2 ? ListVersion2(run) : ListVersion3(run);
  if (!tests) return tests.error();
  return Catch2Listing{version, *std::move(tests)};
}

int Catch2Version(const std::string& text) {
  for (const std::string& line : LinesOf(text)) {
    if (line.compare(0, 8, "version:") != 0) continue;
    const std::size_t digit = line.find_first_of("0123456789");
    if (digit == std::string::npos) return 0;
    const int major = std::atoi(line.c_str() + digit);
    // Later ones are taken to be like version 3.
    return major < 2 ? 0 : std::min(major, 3);
  }
  return 0;
}

std::vector<protocol::ListedTest> ReadCatch2Names(const std::string& text) {
  std::vector<protocol::ListedTest> tests;
  for (std::string& line : LinesOf(text)) {
    const std::size_t tab = line.rfind("\t@");
    protocol::ListedTest test;
    if (tab != std::string::npos) {
      const std::string place = line.substr(tab + 2);
      line.resize(tab);
      const std::size_t colon = place.rfind(':');
      if (colon != std::string::npos && place.size() - colon <= 10 &&
          place.size() > colon + 1 &&
          place.find_first_not_of("0123456789", colon + 1) ==
              std::string::npos) {
        test.file = place.substr(0, colon);
        test.line = std::stoll(place.substr(colon + 1));
      }
    }
    if (line.empty() && tab == std::string::npos) continue;
    // A name that begins with '#' is in quotes.
    if (line.size() >= 3 && line.compare(0, 2, "\"#") == 0 &&
        line.back() == '"') {
      line = line.substr(1, line.size() - 2);
    }
    test.name = std::move(line);
    tests.push_back(std::move(test));
  }
  return tests;
}

std::vector<std::vector<std::string>> ReadCatch2Tags(const std::string& text,
                                                     std::size_t tests) {
  std::vector<std::vector<std::string>> tags;
  std::string current;
  for (const std::string& line : LinesOf(text)) {
    const std::size_t indent = line.find_first_not_of(' ');
    if (indent == 2) {
      if (!tags.empty()) tags.back() = SplitTags(current);
      current.clear();
      tags.emplace_back();
    } else if (indent == 6 && !tags.empty() &&
               (line[indent] == '[' || !current.empty())) {
      current += line.substr(indent);
    }
  }
  if (!tags.empty()) tags.back() = SplitTags(current);
  if (tags.size() != tests) tags.clear();
  return tags;
}

Result<std::vector<protocol::ListedTest>> ReadCatch2Xml(std::string text) {
  // The program may print before it.
  const std::size_t begin = text.find("<?xml");
  if (begin != std::string::npos) text.erase(0, begin);
  const XmlDocument document = XmlDocument::Parse(text);
  const XmlElement root = document.root();
  if (!document.problem().empty() || root.name() != "MatchingTests") {
    return MakeError(
        error_code::kMalformed,
        "its tests cannot be listed by --list-tests: " +
            (document.problem().empty() ? "what it prints is no list"
                                        : document.problem()),
        "is it a Catch2 program? Say so with --framework");
  }
  std::vector<protocol::ListedTest> tests;
  for (XmlElement each = root.first_child(); each; each = each.next()) {
    if (each.name() != "TestCase") continue;
    protocol::ListedTest test;
    test.name = each.child("Name").text();
    test.suite = each.child("ClassName").text();
    test.tags = SplitTags(each.child("Tags").text());
    if (IsHidden(test.tags)) test.skip = kHidden;
    const XmlElement source = each.child("SourceInfo");
    test.file = source.child("File").text();
    const std::string line = source.child("Line").text();
    if (!line.empty() && line.size() <= 9 &&
        line.find_first_not_of("0123456789") == std::string::npos) {
      test.line = std::stoll(line);
    }
    tests.push_back(std::move(test));
  }
  return tests;
}

}  // namespace forkserver::harness
