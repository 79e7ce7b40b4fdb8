#include "tools/harness/report/failure_text.h"

#include <algorithm>
#include <utility>

#include "tools/harness/report/summary_format.h"

namespace forkserver::harness {
namespace {

constexpr int kPageWidth = 100;

Paint PaintOf(Verdict verdict) {
  if (IsBad(verdict)) return Paint::kBoldRed;
  return verdict == Verdict::kPass ? Paint::kGreen : Paint::kYellow;
}

std::string OneLine(std::string_view text, const TerminalLook& look) {
  return SafeOnOneLine(text, {.utf8 = look.utf8, .colors = false});
}

// Each line of `text`, made safe, after `before`, which is safe.
std::string Indented(std::string_view text, std::string_view before,
                     const TerminalLook& look) {
  std::string safe = SafeForTerminal(text, look.text());
  if (safe.empty()) return {};
  if (safe.back() != '\n') safe += '\n';
  std::string out;
  for (std::size_t at = 0; at < safe.size();) {
    const std::size_t end = safe.find('\n', at);
    out += before;
    out.append(safe, at, end + 1 - at);
    at = end + 1;
  }
  return out;
}

std::string Stream(const char* name, const std::string& text,
                   const TerminalLook& look) {
  if (text.empty()) return {};
  const std::string before =
      "  " + Painted(look, Paint::kDim, look.utf8 ? "│" : "|") + " ";
  return "  " + Painted(look, Paint::kCyan, name) + "\n" +
         Indented(text, before, look);
}

std::string AttemptText(const Attempt& attempt, const TerminalLook& look) {
  std::string text;
  if (!attempt.reason.empty()) {
    text += Indented(attempt.reason, "  ", look);
  }
  text += Indented(Details(attempt), "  ", look);
  text += Stream("stdout", attempt.out.ToString(), look);
  text += Stream("stderr", attempt.err.ToString(), look);
  return text;
}

// The last lines of it, with a word on how many there were before.
std::string LastLines(const std::string& text) {
  constexpr int kLines = 40;
  std::size_t from = text.size();
  if (from > 0 && text.back() == '\n') --from;
  for (int lines = 0; from > 0; --from) {
    if (text[from - 1] == '\n' && ++lines == kLines) break;
  }
  if (from == 0) return text;
  const auto before = std::count(
      text.begin(), text.begin() + static_cast<std::ptrdiff_t>(from), '\n');
  return "[" + Grouped(static_cast<std::size_t>(before)) +
         " lines before these]\n" + text.substr(from);
}

}  // namespace

std::string VerdictLine(const TestCase& test, Verdict verdict,
                        const Attempt& attempt, const std::string& note,
                        Reason where, const TerminalLook& look) {
  std::string word(WordOf(verdict));
  constexpr std::size_t kWord = 7;
  if (word.size() < kWord) word.append(kWord - word.size(), ' ');
  const std::string before =
      word + " " + PaddedDuration(attempt.wall_us) + "  ";
  const std::string name = OneLine(test.id, look);
  std::string line =
      Painted(look, PaintOf(verdict), word) + before.substr(word.size()) + name;
  if (!note.empty()) line += "  " + Painted(look, Paint::kYellow, note);
  const std::string reason = OneLine(ShortReason(attempt), look);
  if (reason.empty()) return line + "\n";
  constexpr int kLongestInLog = 300;
  constexpr int kShortest = 20;
  const int columns = look.live ? look.columns - 1 : kLongestInLog;
  const int used = DisplayWidth(before + name) + 2 +
                   (note.empty() ? 0 : DisplayWidth(note) + 2);
  const int room = columns - used;
  const bool fits = DisplayWidth(reason) <= room;
  if (fits || (where == Reason::kIfItFits && room >= kShortest)) {
    line +=
        "  " + Painted(look, Paint::kDim, FitColumns(reason, room, look.utf8));
  } else if (where == Reason::kOwnLine) {
    line +=
        "\n" + std::string(before.size(), ' ') +
        Painted(look, Paint::kDim,
                FitColumns(reason, columns - static_cast<int>(before.size()),
                           look.utf8));
  }
  return line + "\n";
}

std::string FailureText(const TestCase& test, const TestResult& result,
                        const TerminalLook& look) {
  std::string text =
      Rule(std::string(WordOf(result.verdict)) + "  " + OneLine(test.id, look) +
               "  " + Duration(result.last().wall_us),
           PaintOf(result.verdict), look);
  if (result.attempts.size() == 1) {
    return text + AttemptText(result.last(), look) + "\n";
  }
  std::string before;
  for (const Attempt& attempt : result.attempts) {
    text += "  " +
            Painted(look, Paint::kBold,
                    "attempt " + std::to_string(attempt.number) + " of " +
                        std::to_string(result.attempts.size()) + ": " +
                        std::string(NameOf(attempt.verdict)) + ", " +
                        Duration(attempt.wall_us)) +
            "\n";
    std::string all = AttemptText(attempt, look);
    text += all.empty() || all != before ? all : "  the same as before\n";
    before = std::move(all);
  }
  return text + "\n";
}

std::string RunningOutput(const RunningTest& running,
                          const TerminalLook& look) {
  const std::string text =
      Stream("stdout so far", LastLines(running.out.ToString()), look) +
      Stream("stderr so far", LastLines(running.err.ToString()), look);
  return text.empty() ? "  no output so far\n" : text;
}

std::string Rule(const std::string& safe_words, Paint paint,
                 const TerminalLook& look) {
  const char* sign = look.utf8 ? "─" : "-";
  const int columns = std::min(look.columns - 1, kPageWidth);
  const int left = columns - DisplayWidth(safe_words) - 4;
  std::string rest;
  for (int i = 0; i < left; ++i) rest += sign;
  const std::string lead = std::string(sign) + sign;
  return Painted(look, Paint::kDim, lead) + " " +
         Painted(look, paint, safe_words) + " " +
         Painted(look, Paint::kDim, rest) + "\n";
}

}  // namespace forkserver::harness
