#include "tests/unit/harness/targets/recorded_program.h"

#include <algorithm>
#include <utility>

namespace forkserver::harness {

void RecordedProgram::Answer(std::vector<std::string> words, std::string out,
                             int code) {
  answers_.push_back({std::move(words), std::move(out), {}, code});
}

void RecordedProgram::AnswerWithXml(std::vector<std::string> words,
                                    std::string xml, std::string out,
                                    int code) {
  answers_.push_back({std::move(words), std::move(out), std::move(xml), code});
}

Result<ColdListing> RecordedProgram::ListBy(ColdFramework& framework) const {
  const auto run =
      [&](const std::vector<std::string>& arguments) -> Result<CommandOutput> {
    CommandOutput output;
    output.exit.code = 255;
    for (const Recorded& each : answers_) {
      const bool fits = std::all_of(
          each.words.begin(), each.words.end(), [&](const std::string& word) {
            return std::find(arguments.begin(), arguments.end(), word) !=
                   arguments.end();
          });
      if (!fits) continue;
      if (!each.xml.empty()) folder_.Write("list.xml", each.xml);
      output.out = each.out;
      output.exit.code = each.code;
      break;
    }
    return output;
  };
  return framework.List(run, folder_.Path("list.xml"));
}

std::vector<std::string> NamesOf(const ColdListing& listing) {
  std::vector<std::string> names;
  for (const protocol::ListedTest& test : listing.tests) {
    names.push_back(test.name + (test.skip.empty() ? "" : ", skipped"));
  }
  return names;
}

std::string StateOf(const FrameworkWord& word) {
  if (word.ended) return word.status;
  return word.begun ? "begun" : "absent";
}

std::vector<std::string> StatesOf(const FrameworkReport& report) {
  std::vector<std::string> states;
  for (const FrameworkWord& word : report.tests) {
    states.push_back(StateOf(word));
  }
  return states;
}

std::size_t FindBadBeginning(const ColdFramework& framework,
                             const std::vector<std::size_t>& tests,
                             const std::string& text, const std::string& end) {
  const std::size_t whole = text.find_last_not_of(" \n") + 1;
  for (std::size_t size = 0; size < whole; ++size) {
    const std::string beginning = text.substr(0, size);
    std::size_t ends = 0;
    for (std::size_t at = beginning.find(end); at != std::string::npos;
         at = beginning.find(end, at + 1)) {
      ++ends;
    }
    const auto report = framework.Read(tests, XmlDocument::Parse(beginning));
    const auto passed = std::count_if(
        report.tests.begin(), report.tests.end(),
        [](const FrameworkWord& word) { return word.status == "passed"; });
    if (report.complete || passed > static_cast<std::ptrdiff_t>(ends)) {
      return size;
    }
  }
  return 0;
}

}  // namespace forkserver::harness
