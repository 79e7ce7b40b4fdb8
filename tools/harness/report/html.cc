#include "tools/harness/report/html.h"

#include <utility>

#include "tools/harness/report/event_json.h"
#include "tools/harness/report/page_text.h"
#include "tools/harness/report/summary_format.h"
#include "tools/terminal/text_safety.h"

namespace forkserver::harness {
namespace {

// [slot, begun_us, ended_us, wall_us, verdict, reason, rss, user_us,
//  system_us, [received_us, launch_begun_us, launched_us, started_us,
//  ended_us] after its begin]
std::string AttemptRow(const Attempt& attempt) {
  std::string row = "[" + std::to_string(attempt.slot);
  const auto number = [&](std::int64_t value) {
    row += ',';
    row += std::to_string(value);
  };
  number(attempt.begun_ns / 1000);
  number(attempt.ended_ns / 1000);
  number(attempt.wall_us);
  row += ',';
  row += JsonString(NameOf(attempt.verdict));
  row += ',';
  row += JsonString(ShortReason(attempt));
  if (attempt.exit) {
    number(attempt.exit->max_rss_bytes);
    number(attempt.exit->user_us);
    number(attempt.exit->system_us);
    row += ",[";
    const Journey& journey = attempt.exit->journey;
    bool first = true;
    for (const std::int64_t ns :
         {journey.received_ns, journey.launch_begun_ns, journey.launched_ns,
          journey.started_ns, journey.ended_ns}) {
      if (!first) row += ',';
      first = false;
      row += ns <= 0 ? "null" : std::to_string((ns - attempt.begun_ns) / 1000);
    }
    row += ']';
  }
  return row + "]";
}

// Worth a line of its own, which the page reads only when it is looked at.
bool HasDetails(const TestResult& result, bool output_of_passed) {
  for (const Attempt& attempt : result.attempts) {
    const bool plain =
        attempt.verdict == Verdict::kPass || attempt.verdict == Verdict::kSkip;
    if (!plain || !attempt.leaked.empty()) return true;
    if (output_of_passed && (!attempt.out.empty() || !attempt.err.empty())) {
      return true;
    }
  }
  return false;
}

}  // namespace

Result<std::unique_ptr<HtmlReporter>> HtmlReporter::Create(
    HtmlOptions options) {
  Result<ReportFile> file =
      ReportFile::Create("--html", options.path, PageText());
  if (!file) return std::move(file).error();
  if (!file->seekable() && !file->Append(PageText())) return *file->error();
  return std::unique_ptr<HtmlReporter>(
      new HtmlReporter(std::move(options), std::move(*file)));
}

void HtmlReporter::Write(char kind, std::string json) {
  // JSON has no line breaks in its strings, and now no '<' either: nothing in
  // it can end the element that it is in.
  file_.Append(kind + JsonForScript(std::move(json)) + "\n");
}

void HtmlReporter::OnTargetReady(const TargetReady& target) {
  Write('T', TargetReadyJson(target));
}

void HtmlReporter::OnRunBegan(const RunPlan& plan) {
  Write('P', RunBeganJson(plan));
}

void HtmlReporter::OnTestEnded(const TestResult& result) {
  std::string row = "[" + std::to_string(result.test) + "," +
                    JsonString(NameOf(result.verdict)) + ",[";
  for (const Attempt& attempt : result.attempts) {
    if (row.back() != '[') row += ',';
    row += AttemptRow(attempt);
  }
  Write('R', row + "]]");
  if (!HasDetails(result, options_.output_of_passed)) return;
  std::string details = "[";
  for (const Attempt& attempt : result.attempts) {
    if (details.size() > 1) details += ',';
    details += AttemptJson(attempt);
  }
  Write('D', details + "]");
}

void HtmlReporter::OnWarning(const std::string& text) {
  Write('W', JsonString(text));
}

Result<void> HtmlReporter::OnRunEnded(const RunSummary& summary) {
  Write('S', RunEndedJson(summary));
  file_.Append("</script>\n</body>\n</html>\n");
  if (file_.error()) return *file_.error();
  return {};
}

}  // namespace forkserver::harness
