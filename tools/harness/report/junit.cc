#include "tools/harness/report/junit.h"

#include <algorithm>
#include <utility>

#include "tools/harness/report/junit_elements.h"

namespace forkserver::harness {
namespace {

constexpr char kDeclaration[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
constexpr char kRootEnd[] = "</testsuites>\n";
constexpr char kSuiteEnd[] = "</testsuite>\n";
// The suite of what went wrong beside the tests.
constexpr char kRunSuite[] = "forkserver test";

std::string Root() {
  return std::string(kDeclaration) +
         JunitTag("testsuites", {{"name", kRunSuite}}) + "\n";
}

std::string Property(std::string_view name, const std::string& value) {
  return JunitTag("property", {{"name", std::string(name)}, {"value", value}},
                  true) +
         "\n";
}

}  // namespace

Result<std::unique_ptr<JunitReporter>> JunitReporter::Create(
    JunitOptions options) {
  Result<ClosedXml> xml =
      ClosedXml::Create("--junit", options.path, Root(), kRootEnd);
  if (!xml) return std::move(xml).error();
  return std::unique_ptr<JunitReporter>(
      new JunitReporter(std::move(options), std::move(*xml)));
}

const std::optional<Error>& JunitReporter::error() {
  return xml_.file().error();
}

JunitReporter::Suite& JunitReporter::SuiteOf(const std::string& label) {
  const auto [found, made] = suites_.try_emplace(label);
  if (made) order_.push_back(label);
  return found->second;
}

void JunitReporter::AppendCase(const std::string& label,
                               const std::string& element) {
  const std::string end_tags = std::string(kSuiteEnd) + kRootEnd;
  // A suite is begun again when results of targets alternate: until the end
  // there may be several of one name.
  if (!suite_is_open_ || open_suite_ != label) {
    std::string tags = suite_is_open_ ? kSuiteEnd : "";
    tags += JunitTag("testsuite", {{"name", label}}) + "\n";
    xml_.Append(tags, end_tags);
    open_suite_ = label;
    suite_is_open_ = true;
  }
  SuiteOf(label).cases.push_back(xml_.Append(element, end_tags));
}

void JunitReporter::OnTargetReady(const TargetReady& target) {
  Suite& suite = SuiteOf(target.label);
  suite.framework = target.framework;
  suite.warm = target.warm;
  for (const std::string& error : target.errors) {
    ++suite.tests;
    ++suite.errors;
    AppendCase(target.label,
               JunitErrorCase("target is ready", target.label, error));
    told_errors_.push_back(error);
  }
}

void JunitReporter::OnRunBegan(const RunPlan& plan) {
  plan_ = &plan;
  ended_.assign(plan.tests.size(), false);
}

void JunitReporter::OnTestEnded(const TestResult& result) {
  const TestCase& test = plan_->tests[result.test];
  ended_[result.test] = true;
  Suite& suite = SuiteOf(test.target);
  const JunitKind kind = JunitKindOf(result);
  ++suite.tests;
  suite.failures += kind == JunitKind::kFailure ? 1 : 0;
  suite.errors += kind == JunitKind::kError ? 1 : 0;
  suite.skipped += kind == JunitKind::kSkipped ? 1 : 0;
  suite.wall_us += result.last().wall_us;
  AppendCase(test.target, JunitCase(test, result, options_.output_of_passed));
}

void JunitReporter::AddNotRun(const RunSummary& summary) {
  std::string why = "not run";
  if (!summary.stopped_because.empty()) why += ": " + summary.stopped_because;
  if (summary.interrupted && summary.stopped_because.empty()) {
    why += ": interrupted";
  }
  for (std::size_t i = 0; i < ended_.size(); ++i) {
    if (ended_[i]) continue;
    const TestCase& test = plan_->tests[i];
    Suite& suite = SuiteOf(test.target);
    ++suite.tests;
    ++suite.skipped;
    AppendCase(test.target, JunitNotRun(test, why));
  }
}

void JunitReporter::AddErrors(const RunSummary& summary) {
  for (const std::string& error : summary.errors) {
    const bool told = std::any_of(told_errors_.begin(), told_errors_.end(),
                                  [&](const std::string& one) {
                                    return error.find(one) != std::string::npos;
                                  });
    if (told) continue;
    Suite& suite = SuiteOf(kRunSuite);
    ++suite.tests;
    ++suite.errors;
    AppendCase(kRunSuite, JunitErrorCase("run", kRunSuite, error));
  }
  const bool is_green =
      std::all_of(suites_.begin(), suites_.end(), [](const auto& each) {
        return each.second.failures + each.second.errors == 0;
      });
  if (!is_green || (summary.not_run == 0 && !summary.interrupted)) return;
  std::string what =
      summary.interrupted ? "the run was interrupted" : "the run was stopped";
  if (!summary.stopped_because.empty()) what += ": " + summary.stopped_because;
  if (summary.not_run > 0) {
    what += "; tests that were not run: " + std::to_string(summary.not_run);
  }
  Suite& suite = SuiteOf(kRunSuite);
  ++suite.tests;
  ++suite.errors;
  AppendCase(kRunSuite, JunitErrorCase("run", kRunSuite, what));
}

void JunitReporter::WriteInOrder(const RunSummary& summary) {
  if (!xml_.file().seekable()) return;
  Suite all;
  for (const auto& [label, suite] : suites_) {
    all.tests += suite.tests;
    all.failures += suite.failures;
    all.errors += suite.errors;
    all.skipped += suite.skipped;
  }
  const auto counts = [](const Suite& suite, std::int64_t wall_us) {
    return JunitAttributes{{"tests", std::to_string(suite.tests)},
                           {"failures", std::to_string(suite.failures)},
                           {"errors", std::to_string(suite.errors)},
                           {"skipped", std::to_string(suite.skipped)},
                           {"time", JunitSeconds(wall_us)}};
  };
  const std::string timestamp =
      JunitTime(plan_ != nullptr ? plan_->begun_unix_ms : 0);

  ReportFile::Replacement file(xml_.file());
  JunitAttributes attributes = {{"name", kRunSuite}};
  for (auto& each : counts(all, summary.wall_us)) attributes.push_back(each);
  if (plan_ != nullptr) attributes.emplace_back("timestamp", timestamp);
  std::string text = kDeclaration + JunitTag("testsuites", attributes) + "\n";
  for (const std::string& label : order_) {
    const Suite& suite = suites_[label];
    attributes = {{"name", label}};
    for (auto& each : counts(suite, suite.wall_us)) attributes.push_back(each);
    if (plan_ != nullptr) attributes.emplace_back("timestamp", timestamp);
    text += JunitTag("testsuite", attributes) + "\n" + Properties(suite);
    for (const FileRange& range : suite.cases) {
      std::optional<std::string> element =
          xml_.file().ReadAt(range.offset, range.size);
      if (!element) return;
      text += *element;
      if (text.size() > (1u << 20)) {
        if (!file.Append(text)) return;
        text.clear();
      }
    }
    text += kSuiteEnd;
  }
  if (file.Append(text + kRootEnd)) file.Finish();
}

std::string JunitReporter::Properties(const Suite& suite) const {
  std::string text;
  if (!suite.framework.empty()) {
    text += Property("framework", suite.framework);
    text += Property("warm", suite.warm ? "true" : "false");
  }
  if (plan_ != nullptr) {
    text += Property("run", plan_->run_id);
    text += Property("slots", std::to_string(plan_->slots));
    if (plan_->seed != 0) text += Property("seed", std::to_string(plan_->seed));
    for (const std::string& note : plan_->notes) text += Property("note", note);
  }
  return text.empty() ? text : "<properties>\n" + text + "</properties>\n";
}

Result<void> JunitReporter::OnRunEnded(const RunSummary& summary) {
  AddNotRun(summary);
  AddErrors(summary);
  xml_.Close();
  if (!error()) WriteInOrder(summary);
  if (error()) return *error();
  return {};
}

}  // namespace forkserver::harness
