#include "tools/harness/report/terminal.h"

#include <time.h>

#include <algorithm>

#include "tools/harness/report/failure_text.h"
#include "tools/harness/report/summary_format.h"
#include "tools/terminal/write_all.h"

namespace forkserver::harness {
namespace {

constexpr std::int64_t kSecondNs = 1'000'000'000;
// More than anybody reads; the reports in files have all.
constexpr std::size_t kMostFailureText = 16u << 20;

std::int64_t NowNs() {
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kSecondNs + now.tv_nsec;
}

// Until the next line on the progress in a log: often at first.
std::int64_t LogIntervalNs(std::int64_t elapsed_us) {
  return (elapsed_us < 60'000'000 ? 10 : 60) * kSecondNs;
}

const char* Plural(std::size_t count) { return count == 1 ? "" : "s"; }

}  // namespace

TerminalReporter::TerminalReporter(TerminalOptions options)
    : options_(options), look_(options_.look) {
  if (look_.live) area_ = std::make_unique<LiveArea>(options_.fd);
}

TerminalReporter::~TerminalReporter() = default;

void TerminalReporter::Print(const std::string& text) {
  if (text.empty()) return;
  if (area_ != nullptr) {
    LookAtSize();
    area_->Print(text);
  } else {
    // Nobody to tell it if this fails.
    WriteAll(options_.fd, text);
  }
}

void TerminalReporter::LookAtSize() {
  const TerminalLook before = look_;
  UpdateSize(options_.fd, look_);
  if (look_.columns != before.columns || look_.rows != before.rows) {
    area_->Resized();
  }
}

void TerminalReporter::OnTargetReady(const TargetReady& target) {
  ++targets_;
  const std::string name = SafeOnOneLine(target.label, {.utf8 = look_.utf8});
  if (options_.why) {
    for (const std::string& why : target.why) {
      Print(name + ": " + SafeOnOneLine(why, {.utf8 = look_.utf8}) + "\n");
    }
  }
  for (const std::string& error : target.errors) {
    Print(Painted(look_, Paint::kBoldRed, "ERROR") + "  " + name + ": " +
          SafeForTerminal(error, look_.text()) + "\n");
  }
}

void TerminalReporter::OnRunBegan(const RunPlan& plan) {
  plan_ = &plan;
  begun_ns_ = NowNs();
  next_log_ns_ = begun_ns_ + LogIntervalNs(0);
  for (std::size_t i = 0; i < plan.tests.size(); ++i) {
    const std::int64_t last =
        i < plan.last_wall_us.size() ? plan.last_wall_us[i] : 0;
    known_left_us_ += last * plan.repeat;
    if (last == 0) unknown_left_ += static_cast<std::size_t>(plan.repeat);
  }
  const std::size_t planned =
      plan.tests.size() * static_cast<std::size_t>(plan.repeat);
  std::string line = "Running " + Grouped(planned) + " test" + Plural(planned);
  if (targets_ > 1) line += " of " + Grouped(targets_) + " targets";
  line += " on " + std::to_string(plan.slots) + " slot" +
          Plural(static_cast<std::size_t>(plan.slots));
  if (plan.seed != 0) line += ", seed " + std::to_string(plan.seed);
  for (const std::string& note : plan.notes) {
    line += ", " + SafeOnOneLine(note, {.utf8 = look_.utf8});
  }
  Print(line + "\n");
}

void TerminalReporter::OnAttemptSlow(const RunningTest& running) {
  if (area_ != nullptr) return;  // the lines below the bar say so
  Print("SLOW    " + PaddedDuration(running.elapsed_us) + "  " +
        SafeOnOneLine(TestAt(running.test).id, {.utf8 = look_.utf8}) +
        "  is still running\n");
}

void TerminalReporter::PrintOutputLine(std::size_t test,
                                       const std::string& line) {
  std::string text = SafeForTerminal(line, look_.text());
  if (plan_->slots > 1) {
    text = Painted(look_, Paint::kDim,
                   SafeOnOneLine(TestAt(test).name(), {.utf8 = look_.utf8}) +
                       (look_.utf8 ? " │ " : " | ")) +
           text;
  }
  Print(text + "\n");
}

void TerminalReporter::OnOutput(const RunningTest& running, int stream,
                                std::string_view text) {
  // A line without an end is not kept for ever.
  constexpr std::size_t kLongestLine = 64u << 10;
  std::string& line = partial_lines_[{running.test, stream}];
  for (;;) {
    const std::size_t end = text.find('\n');
    line += text.substr(0, end);
    if (end == std::string_view::npos && line.size() < kLongestLine) break;
    PrintOutputLine(running.test, line);
    line.clear();
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
}

void TerminalReporter::OnAttemptEnded(std::size_t test, const Attempt& attempt,
                                      bool last) {
  for (const int stream : {1, 2}) {
    const auto found = partial_lines_.find({test, stream});
    if (found == partial_lines_.end()) continue;
    if (!found->second.empty()) PrintOutputLine(test, found->second);
    partial_lines_.erase(found);
  }
  if (last) return;
  Print(
      VerdictLine(TestAt(test), attempt.verdict, attempt,
                  "attempt " + std::to_string(attempt.number) + ", tried again",
                  Reason::kIfItFits, look_));
}

void TerminalReporter::NoteEnded(std::size_t test) {
  const std::int64_t last =
      test < plan_->last_wall_us.size() ? plan_->last_wall_us[test] : 0;
  known_left_us_ -= last;
  if (last == 0 && unknown_left_ > 0) --unknown_left_;
}

void TerminalReporter::OnTestEnded(const TestResult& result) {
  tally_.Add(result.verdict);
  NoteEnded(result.test);
  const TestCase& test = TestAt(result.test);
  const bool plain =
      result.verdict == Verdict::kPass || result.verdict == Verdict::kSkip;
  if (plain && !options_.every_test) return;
  const bool flaky = result.verdict == Verdict::kFlaky;
  // Of a flaky test the attempt that failed says why.
  const Attempt& told = flaky ? result.attempts.front() : result.last();
  const std::string note =
      flaky ? "passed in attempt " + std::to_string(result.last().number) : "";
  Print(
      VerdictLine(test, result.verdict, told, note, Reason::kIfItFits, look_));
  if (plain) return;
  verdicts_ +=
      VerdictLine(test, result.verdict, told, note, Reason::kOwnLine, look_);
  if (flaky) return;
  if (failures_.size() > kMostFailureText) {
    ++failures_left_out_;
  } else {
    failures_ += FailureText(test, result, look_);
  }
}

Progress TerminalReporter::ProgressNow(
    std::int64_t now_ns, const std::vector<RunningTest>& running) const {
  Progress progress;
  progress.planned =
      plan_->tests.size() * static_cast<std::size_t>(plan_->repeat);
  progress.tally = tally_;
  // More than planned: it goes on until somebody or something stops it.
  if (tally_.ended > progress.planned) progress.planned = 0;
  progress.elapsed_us = (now_ns - begun_ns_ - paused_ns_) / 1000;
  for (const RunningTest& one : running) {
    progress.running.push_back(
        {TestAt(one.test).id, one.elapsed_us, one.attempt, one.slow});
  }
  std::stable_sort(progress.running.begin(), progress.running.end(),
                   [](const RunningLine& a, const RunningLine& b) {
                     return a.elapsed_us > b.elapsed_us;
                   });
  // A guess from the last run, when it knew nearly all of them.
  const std::size_t left =
      progress.planned - std::min(progress.planned, tally_.ended);
  if (plan_->slots > 0 && unknown_left_ * 10 <= left) {
    std::int64_t left_us = known_left_us_ / plan_->slots;
    for (const RunningTest& one : running) {
      left_us -= one.elapsed_us / plan_->slots;
    }
    constexpr std::int64_t kWorthSaying = 2'000'000;
    if (left_us >= kWorthSaying) progress.left_us = left_us;
  }
  return progress;
}

void TerminalReporter::OnTick(std::int64_t now_ns,
                              const std::vector<RunningTest>& running) {
  if (plan_ == nullptr) return;
  const Progress progress = ProgressNow(now_ns, running);
  if (area_ != nullptr) {
    // In the background the lines belong to somebody else.
    if (!IsForeground(options_.fd)) return area_->Erase();
    LookAtSize();
    area_->Draw(ProgressLines(progress, look_));
  } else if (now_ns >= next_log_ns_) {
    next_log_ns_ = now_ns + LogIntervalNs(progress.elapsed_us);
    Print(ProgressLogLine(progress, look_) + "\n");
  }
}

void TerminalReporter::OnShowRunning(const std::vector<RunningTest>& running) {
  if (plan_ == nullptr) return;
  std::string text =
      Rule("running now: " + std::to_string(running.size()) + " of " +
               Grouped(plan_->tests.size() *
                       static_cast<std::size_t>(plan_->repeat)) +
               " tests, " + Grouped(tally_.ended) + " ended",
           Paint::kBold, look_);
  for (const RunningTest& one : running) {
    text += Painted(look_, one.slow ? Paint::kYellow : Paint::kPlain,
                    Duration(one.elapsed_us)) +
            "  " + SafeOnOneLine(TestAt(one.test).id, {.utf8 = look_.utf8});
    text += "  (slot " + std::to_string(one.slot);
    if (one.attempt > 1) text += ", attempt " + std::to_string(one.attempt);
    text += ")\n" + RunningOutput(one, look_);
  }
  Print(text + "\n");
}

void TerminalReporter::OnSuspend() {
  suspended_ns_ = NowNs();
  if (area_ != nullptr) area_->Erase();
}

void TerminalReporter::OnResume() {
  if (suspended_ns_ == 0) return;
  paused_ns_ += NowNs() - suspended_ns_;
  suspended_ns_ = 0;
}

void TerminalReporter::OnWarning(const std::string& text) {
  Print(Painted(look_, Paint::kYellow, "warning:") + " " +
        SafeOnOneLine(text, {.utf8 = look_.utf8}) + "\n");
}

void TerminalReporter::PrintEnd(const RunSummary& summary) {
  std::string text;
  if (!failures_.empty()) text += "\n" + failures_;
  if (failures_left_out_ > 0) {
    text += Grouped(failures_left_out_) +
            " more failed; their output is in the reports (--html, --junit, "
            "--json)\n\n";
  }
  // Said already, but far above by now.
  if (!failures_.empty()) text += verdicts_;
  for (const std::string& error : summary.errors) {
    text += Painted(look_, Paint::kBoldRed, "ERROR") + "   " +
            SafeForTerminal(error, look_.text()) + "\n";
  }
  const bool good = summary.exit_code == 0;
  std::string word = good ? "PASSED" : "FAILED";
  if (summary.planned == 0) word = "NO TESTS";
  if (summary.interrupted) word = "INTERRUPTED";
  std::string line =
      Painted(look_, good ? Paint::kGreen : Paint::kBoldRed, word);
  line += "  " + Counts(summary) + "  of " + Grouped(summary.planned) +
          " test" + Plural(summary.planned) + " in " +
          Duration(summary.wall_us);
  if (!summary.stopped_because.empty()) {
    line += "  (stopped: " +
            SafeOnOneLine(summary.stopped_because, {.utf8 = look_.utf8}) + ")";
  }
  // It stands alone where there is more than that.
  if (!text.empty()) text += "\n";
  Print(text + line + "\n");
}

Result<void> TerminalReporter::OnRunEnded(const RunSummary& summary) {
  if (area_ != nullptr) area_->Erase();
  PrintEnd(summary);
  return {};
}

}  // namespace forkserver::harness
