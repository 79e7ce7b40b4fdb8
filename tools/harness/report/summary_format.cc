#include "tools/harness/report/summary_format.h"

#include <algorithm>
#include <cstdio>

#include "tools/terminal/text_safety.h"

namespace forkserver::harness {
namespace {

constexpr std::int64_t kSecond = 1'000'000;

std::string Printed(const char* format, long long a, long long b,
                    long long c = 0) {
  char text[64];
  std::snprintf(text, sizeof text, format, a, b, c);
  return text;
}

std::string_view FirstLine(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  text.remove_prefix(begin);
  return text.substr(0, text.find_first_of("\r\n"));
}

void AppendLine(std::string& text, std::string_view line) {
  text += line;
  if (text.empty() || text.back() != '\n') text += '\n';
}

}  // namespace

std::string Duration(std::int64_t us) {
  us = std::max<std::int64_t>(us, 0);
  const std::int64_t ms = us / 1000;
  if (us < 10 * kSecond) return Printed("%lld.%03llds", ms / 1000, ms % 1000);
  if (us < 60 * kSecond) {
    return Printed("%lld.%llds", ms / 1000, ms % 1000 / 100);
  }
  const std::int64_t seconds = us / kSecond;
  if (seconds < 3600) {
    return Printed("%lldm%02llds", seconds / 60, seconds % 60);
  }
  return Printed("%lldh%02lldm", seconds / 3600, seconds / 60 % 60);
}

std::string PaddedDuration(std::int64_t us) {
  constexpr std::size_t kColumn = 7;
  std::string text = Duration(us);
  if (text.size() < kColumn) text.insert(0, kColumn - text.size(), ' ');
  return text;
}

std::string Clock(std::int64_t us) {
  const std::int64_t seconds = std::max<std::int64_t>(us, 0) / kSecond;
  if (seconds < 3600) {
    return Printed("%lld:%02lld", seconds / 60, seconds % 60);
  }
  return Printed("%lld:%02lld:%02lld", seconds / 3600, seconds / 60 % 60,
                 seconds % 60);
}

std::string_view WordOf(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPass:
      return "PASS";
    case Verdict::kFail:
      return "FAIL";
    case Verdict::kSkip:
      return "SKIP";
    case Verdict::kCrash:
      return "CRASH";
    case Verdict::kTimeout:
      return "TIMEOUT";
    case Verdict::kLeak:
      return "LEAK";
    case Verdict::kFlaky:
      return "FLAKY";
    case Verdict::kInfrastructure:
      return "ERROR";
  }
  return "ERROR";
}

bool IsBad(Verdict verdict) {
  return verdict != Verdict::kPass && verdict != Verdict::kSkip &&
         verdict != Verdict::kFlaky;
}

void Tally::Add(Verdict verdict) {
  ++ended;
  if (verdict == Verdict::kPass) ++passed;
  if (verdict == Verdict::kSkip) ++skipped;
  if (verdict == Verdict::kFlaky) {
    ++passed;
    ++flaky;
  }
  if (IsBad(verdict)) ++bad;
}

std::string Counts(const RunSummary& summary) {
  std::string text = Grouped(summary.passed) + " passed";
  if (summary.flaky > 0) text += " (" + Grouped(summary.flaky) + " flaky)";
  const auto add = [&](std::size_t count, const char* word) {
    if (count > 0) text += ", " + Grouped(count) + " " + word;
  };
  add(summary.failed, "failed");
  add(summary.crashed, "crashed");
  add(summary.timed_out, "timed out");
  add(summary.leaked, "leaked");
  add(summary.infrastructure, "could not be run");
  add(summary.skipped, "skipped");
  add(summary.not_run, "not run");
  return text;
}

std::string Place(const protocol::TestFailure& failure) {
  if (failure.file.empty()) return {};
  if (failure.line <= 0) return failure.file;
  return failure.file + ":" + std::to_string(failure.line);
}

std::string ShortReason(const Attempt& attempt) {
  if (attempt.verdict == Verdict::kPass) return {};
  if (attempt.verdict == Verdict::kSkip) {
    return attempt.skip_reason.empty() ? attempt.reason : attempt.skip_reason;
  }
  // What the framework said is closer to the cause than "1 check failed".
  if (attempt.verdict == Verdict::kFail && !attempt.failures.empty()) {
    const protocol::TestFailure& first = attempt.failures.front();
    std::string text = Place(first);
    const std::string_view line = FirstLine(first.message);
    if (!text.empty() && !line.empty()) text += ": ";
    text += line;
    if (attempt.failures.size() > 1) {
      text += " (and " + std::to_string(attempt.failures.size() - 1) + " more)";
    }
    return text;
  }
  if (!attempt.reason.empty()) return attempt.reason;
  if (!attempt.leaked.empty()) return "left behind: " + attempt.leaked.front();
  return {};
}

std::string Details(const Attempt& attempt) {
  std::string text;
  for (const protocol::TestFailure& failure : attempt.failures) {
    std::string heading = Place(failure);
    if (!failure.where.empty()) {
      if (!heading.empty()) heading += ": ";
      heading += "in " + failure.where;
    }
    if (!heading.empty()) AppendLine(text, heading + ":");
    AppendLine(text, failure.message);
  }
  if (!attempt.leaked.empty()) {
    AppendLine(text, "left behind:");
    for (const std::string& leak : attempt.leaked) {
      AppendLine(text, "  " + leak);
    }
  }
  if (!attempt.backtrace.empty()) {
    AppendLine(text, "backtrace:");
    for (const std::string& line : attempt.backtrace) {
      AppendLine(text, "  " + line);
    }
  }
  if (attempt.backtrace.empty() && attempt.exit) {
    for (const std::string& line : attempt.exit->stacks) {
      AppendLine(text, "  " + line);
    }
  }
  return text;
}

}  // namespace forkserver::harness
