#include "tools/harness/report/junit_elements.h"

#include <cstdio>
#include <ctime>

#include "tools/harness/report/summary_format.h"
#include "tools/terminal/text_safety.h"

namespace forkserver::harness {
namespace {

void AppendElement(std::string& xml, std::string_view name,
                   std::string_view text) {
  if (text.empty()) return;
  xml += '<';
  xml += name;
  xml += '>';
  AppendXml(xml, text);
  xml += "</";
  xml += name;
  xml += ">\n";
}

void AppendOutput(std::string& xml, const Attempt& attempt) {
  AppendElement(xml, "system-out", attempt.out.ToString());
  AppendElement(xml, "system-err", attempt.err.ToString());
}

std::string Text(const Attempt& attempt) {
  std::string text = Details(attempt);
  if (attempt.reason.empty()) return text;
  return attempt.reason + "\n" + text;
}

JunitAttributes MessageAndType(const Attempt& attempt) {
  return {{"message", ShortReason(attempt)},
          {"type", std::string(NameOf(attempt.verdict))}};
}

// What went wrong in the attempt whose verdict is the test's.
void AppendProblem(std::string& xml, const Attempt& attempt,
                   std::string_view element) {
  xml += JunitTag(element, MessageAndType(attempt));
  AppendXml(xml, Text(attempt));
  xml += "</";
  xml += element;
  xml += ">\n";
}

// One that was tried again, or that was tried again in vain.
void AppendRerun(std::string& xml, const Attempt& attempt,
                 std::string_view prefix) {
  const bool error = JunitKindOf(attempt.verdict) == JunitKind::kError;
  const std::string element =
      std::string(prefix) + (error ? "Error" : "Failure");
  xml += JunitTag(element, MessageAndType(attempt)) + "\n";
  AppendElement(xml, "stackTrace", Text(attempt));
  AppendOutput(xml, attempt);
  xml += "</" + element + ">\n";
}

JunitAttributes CaseAttributes(const TestCase& test) {
  JunitAttributes attributes = {
      {"name", test.name()},
      {"classname", test.listed.suite.empty()
                        ? test.target
                        : test.target + "." + test.listed.suite}};
  if (!test.listed.file.empty()) {
    attributes.emplace_back("file", test.listed.file);
    if (test.listed.line > 0) {
      attributes.emplace_back("line", std::to_string(test.listed.line));
    }
  }
  return attributes;
}

}  // namespace

std::string JunitSeconds(std::int64_t us) {
  char text[48];
  std::snprintf(text, sizeof text, "%lld.%06lld",
                static_cast<long long>(us / 1'000'000),
                static_cast<long long>(us % 1'000'000));
  return text;
}

std::string JunitTime(std::int64_t unix_ms) {
  const std::time_t seconds = unix_ms / 1000;
  std::tm parts = {};
  ::gmtime_r(&seconds, &parts);
  char text[48];
  const std::size_t size =
      std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return std::string(text, size);
}

std::string JunitTag(std::string_view name, const JunitAttributes& attributes,
                     bool empty) {
  std::string xml = "<";
  xml += name;
  for (const auto& [key, value] : attributes) {
    xml += ' ';
    xml += key;
    xml += "=\"";
    AppendXmlAttribute(xml, value);
    xml += '"';
  }
  xml += empty ? "/>" : ">";
  return xml;
}

JunitKind JunitKindOf(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPass:
    case Verdict::kFlaky:
      return JunitKind::kPassed;
    case Verdict::kSkip:
      return JunitKind::kSkipped;
    case Verdict::kFail:
    case Verdict::kLeak:
      return JunitKind::kFailure;
    case Verdict::kCrash:
    case Verdict::kTimeout:
    case Verdict::kInfrastructure:
      break;
  }
  return JunitKind::kError;
}

JunitKind JunitKindOf(const TestResult& result) {
  // Its element is about the first attempt: see JunitCase.
  return JunitKindOf(IsBad(result.verdict) ? result.attempts.front().verdict
                                           : result.verdict);
}

std::string JunitCase(const TestCase& test, const TestResult& result,
                      bool output_of_passed) {
  const Attempt& last = result.last();
  JunitAttributes attributes = CaseAttributes(test);
  attributes.emplace_back("time", JunitSeconds(last.wall_us));
  const JunitKind kind = JunitKindOf(result);
  const bool plain = result.verdict == Verdict::kPass;
  if (plain && test.listed.tags.empty() &&
      (!output_of_passed || (last.out.empty() && last.err.empty()))) {
    return JunitTag("testcase", attributes, true) + "\n";
  }
  std::string xml = JunitTag("testcase", attributes) + "\n";
  if (!test.listed.tags.empty()) {
    xml += "<properties>\n";
    for (const std::string& tag : test.listed.tags) {
      xml += JunitTag("property", {{"name", "tag"}, {"value", tag}}, true);
      xml += '\n';
    }
    xml += "</properties>\n";
  }
  // As Surefire: of a test that failed each time the first attempt is its
  // failure, of one that passed at last all others are flaky failures.
  const bool bad = IsBad(result.verdict);
  const Attempt& told = bad ? result.attempts.front() : last;
  if (kind == JunitKind::kSkipped) {
    xml += JunitTag("skipped", {{"message", ShortReason(last)}}, true) + "\n";
  } else if (bad) {
    AppendProblem(xml, told, kind == JunitKind::kError ? "error" : "failure");
  }
  for (const Attempt& attempt : result.attempts) {
    if (&attempt != &told && IsBad(attempt.verdict)) {
      AppendRerun(xml, attempt, bad ? "rerun" : "flaky");
    }
  }
  if (!plain || output_of_passed) AppendOutput(xml, told);
  return xml + "</testcase>\n";
}

std::string JunitNotRun(const TestCase& test, const std::string& why) {
  JunitAttributes attributes = CaseAttributes(test);
  attributes.emplace_back("time", JunitSeconds(0));
  return JunitTag("testcase", attributes) + "\n" +
         JunitTag("skipped", {{"message", why}}, true) + "\n</testcase>\n";
}

std::string JunitErrorCase(const std::string& name, const std::string& target,
                           const std::string& message) {
  std::string xml = JunitTag(
      "testcase",
      {{"name", name}, {"classname", target}, {"time", JunitSeconds(0)}});
  xml += '\n';
  xml += JunitTag("error", {{"message", message.substr(0, message.find('\n'))},
                            {"type", "infrastructure"}});
  AppendXml(xml, message);
  return xml + "</error>\n</testcase>\n";
}

}  // namespace forkserver::harness
