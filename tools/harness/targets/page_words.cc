#include "tools/harness/targets/page_words.h"

#include <string_view>
#include <unordered_map>
#include <utility>

#include "sdk/cpp/testing/report_page.h"
#include "tools/harness/targets/failure_list.h"

namespace forkserver::harness {
namespace {

struct Words {
  FrameworkWord* word = nullptr;
  FailureList failures;
};

void AddAll(const std::vector<protocol::TestFailure>& from, FailureList& to) {
  for (const protocol::TestFailure& failure : from) to.Add(failure);
}

}  // namespace

FrameworkReport WordsOf(
    const Result<std::vector<protocol::TestProgress>>& records,
    const std::vector<const TestCase*>& tests) {
  FrameworkReport report;
  report.tests.resize(tests.size());
  if (!records) {
    report.damage = records.error().message;
    return report;
  }
  std::unordered_map<std::string_view, Words> words;
  for (std::size_t i = 0; i < tests.size(); ++i) {
    words[CutForReport(tests[i]->name())].word = &report.tests[i];
  }
  // Told outside of a test: of its suite, say. It belongs to the next test of
  // which it is said that it failed.
  FailureList outside;
  for (const protocol::TestProgress& record : *records) {
    if (record.event == "complete") {
      report.complete = true;
      continue;
    }
    if (record.event == "failure" && record.test.empty() &&
        words.count("") == 0) {
      AddAll(record.failures, outside);
      continue;
    }
    const auto found = words.find(record.test);
    if (found == words.end()) {
      report.damage = "it tells of '" + record.test + "', which was not run";
      return report;
    }
    FrameworkWord& word = *found->second.word;
    if (record.event == "begun") {
      word.begun = true;
    } else if (record.event == "failure") {
      AddAll(record.failures, found->second.failures);
    } else if (record.event == "ended") {
      word.ended = true;
      word.status = record.status;
      word.skip_reason = record.skip_reason;
      word.wall_us = record.wall_us;
      AddAll(record.failures, found->second.failures);
      if (record.status == "failed")
        AddAll(outside.Take(), found->second.failures);
    }
  }
  for (auto& [name, each] : words) {
    each.word->failures = each.failures.Take();
  }
  return report;
}

}  // namespace forkserver::harness
