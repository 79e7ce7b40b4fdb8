#include "tools/harness/report/progress_lines.h"

#include <algorithm>

namespace forkserver::harness {
namespace {

constexpr int kNarrowestBar = 8;
constexpr int kWidestBar = 32;
constexpr int kMostRunning = 8;

std::string Repeated(std::string_view text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

// A part of the bar's line. The smaller `rank`, the longer it stays.
struct Part {
  int rank = 0;
  std::string text;
  Paint paint = Paint::kPlain;
  std::string shorter;  // where the text has no room; may be empty
};

std::string Bar(const Progress& progress, int columns,
                const TerminalLook& look) {
  const std::size_t planned = std::max<std::size_t>(progress.planned, 1);
  const std::size_t ended = std::min(progress.tally.ended, planned);
  // In half columns, where there are signs for that.
  const int steps = static_cast<int>(ended * columns * 2 / planned);
  const Paint paint = progress.tally.bad > 0 ? Paint::kRed : Paint::kGreen;
  const int full = steps / 2;
  const bool half = look.utf8 && steps % 2 == 1;
  const int rest = columns - full - (half ? 1 : 0);
  if (!look.utf8) {
    return "[" + Painted(look, paint, Repeated("=", full)) +
           Painted(look, Paint::kDim, Repeated("-", rest)) + "]";
  }
  return Painted(look, paint, Repeated("━", full) + (half ? "╸" : "")) +
         Painted(look, Paint::kDim, Repeated(look.colors ? "━" : "─", rest));
}

// "1,234/5,000"
std::string Ended(const Progress& progress) {
  std::string text = Grouped(progress.tally.ended);
  if (progress.planned > 0) text += "/" + Grouped(progress.planned);
  return text;
}

std::string BarLine(const Progress& progress, const TerminalLook& look) {
  const Tally& tally = progress.tally;
  const int room = look.columns - 1;
  const std::string of = Ended(progress);
  std::string short_of = std::to_string(tally.ended);
  if (progress.planned > 0) short_of += "/" + std::to_string(progress.planned);
  constexpr int kGap = 2;
  const std::string failed =
      tally.bad > 0 ? Grouped(tally.bad) + " failed" : std::string();
  // Rather two numbers without commas than one with them.
  const bool wide = DisplayWidth(of) + kGap + DisplayWidth(failed) <= room;
  std::vector<Part> parts = {{0, wide ? of : short_of, Paint::kBold, ""}};
  if (tally.bad > 0) {
    parts.push_back({1, failed, Paint::kBoldRed,
                     (look.utf8 ? "✗" : "x") + std::to_string(tally.bad)});
  }
  parts.push_back(
      {3, Grouped(tally.passed) + " passed", Paint::kGreen, std::string()});
  if (tally.flaky > 0) {
    parts.push_back({5, Grouped(tally.flaky) + " flaky", Paint::kYellow, ""});
  }
  if (tally.skipped > 0) {
    parts.push_back({4, Grouped(tally.skipped) + " skipped", Paint::kYellow,
                     std::string()});
  }
  parts.push_back({2, Clock(progress.elapsed_us), Paint::kPlain, ""});
  if (progress.left_us > 0) {
    parts.push_back({6, "about " + Clock(progress.left_us) + " left",
                     Paint::kDim, std::string()});
  }

  std::vector<std::size_t> by_rank(parts.size());
  for (std::size_t i = 0; i < parts.size(); ++i) by_rank[i] = i;
  std::sort(by_rank.begin(), by_rank.end(), [&](std::size_t a, std::size_t b) {
    return parts[a].rank < parts[b].rank;
  });
  int used = 0;
  std::vector<bool> shown(parts.size());
  for (const std::size_t i : by_rank) {
    for (const std::string* text : {&parts[i].text, &parts[i].shorter}) {
      const int width = DisplayWidth(*text) + (used > 0 ? kGap : 0);
      if (text->empty() || used + width > room) continue;
      parts[i].text = *text;
      shown[i] = true;
      used += width;
      break;
    }
  }

  std::string line;
  const int brackets = look.utf8 ? 0 : 2;
  const int bar = std::min(room - used - kGap - brackets, kWidestBar);
  if (bar >= kNarrowestBar && progress.planned > 0)
    line = Bar(progress, bar, look);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (!shown[i]) continue;
    if (!line.empty()) line.append(kGap, ' ');
    line += Painted(look, parts[i].paint, parts[i].text);
  }
  return line;
}

std::string RunningText(const RunningLine& test, const TerminalLook& look) {
  const int room = look.columns - 1;
  const std::string time = PaddedDuration(test.elapsed_us);
  std::string name =
      SafeOnOneLine(test.name, {.utf8 = look.utf8, .colors = false});
  std::string mark = test.slow ? "SLOW " : "";
  if (test.attempt > 1) {
    mark += "attempt " + std::to_string(test.attempt) + " ";
  }
  int left = room - static_cast<int>(time.size()) - 2;
  constexpr int kShortestName = 8;
  if (left - static_cast<int>(mark.size()) < kShortestName) mark.clear();
  left -= static_cast<int>(mark.size());
  if (left <= 0) return FitColumns(name, room, look.utf8);
  return Painted(look, test.slow ? Paint::kYellow : Paint::kDim, time) + "  " +
         Painted(look, Paint::kYellow, mark) +
         FitColumns(name, left, look.utf8);
}

}  // namespace

std::vector<std::string> ProgressLines(const Progress& progress,
                                       const TerminalLook& look) {
  std::vector<std::string> lines = {BarLine(progress, look)};
  const int most = std::clamp(look.rows / 2 - 1, 0, kMostRunning);
  const int running = static_cast<int>(progress.running.size());
  // "and 1 more" would take the line of that one.
  const int shown = running <= most ? running : std::max(most - 1, 0);
  for (int i = 0; i < shown; ++i) {
    lines.push_back(RunningText(progress.running[i], look));
  }
  if (running > shown && most > 0) {
    lines.push_back(Painted(
        look, Paint::kDim,
        FitColumns("         and " + std::to_string(running - shown) + " more",
                   look.columns - 1, look.utf8)));
  }
  return lines;
}

std::string ProgressLogLine(const Progress& progress,
                            const TerminalLook& look) {
  std::string line =
      Clock(progress.elapsed_us) + "  " + Ended(progress) + " tests";
  if (progress.tally.bad > 0) {
    line += ", " + Grouped(progress.tally.bad) + " failed";
  }
  constexpr std::size_t kNamed = 3;
  for (std::size_t i = 0; i < std::min(progress.running.size(), kNamed); ++i) {
    const RunningLine& test = progress.running[i];
    line += i == 0 ? "; running: " : ", ";
    line += SafeOnOneLine(test.name, {.utf8 = look.utf8, .colors = false}) +
            " (" + Duration(test.elapsed_us) + ")";
  }
  if (progress.running.size() > kNamed) {
    line +=
        " and " + std::to_string(progress.running.size() - kNamed) + " more";
  }
  return line;
}

}  // namespace forkserver::harness
