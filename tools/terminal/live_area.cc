#include "tools/terminal/live_area.h"

#include "tools/terminal/terminal_guard.h"

namespace forkserver {
namespace {

constexpr std::string_view kEraseToEndOfLine = "\x1b[K";
constexpr std::string_view kEraseBelow = "\x1b[J";
// Lines that are too long are cut, or broken.
constexpr std::string_view kCut = "\x1b[?7l";
constexpr std::string_view kBreak = "\x1b[?7h";

}  // namespace

void LiveArea::Write(std::string_view permanent) {
  // Every line is written over what was there and its rest erased: nothing
  // flickers, as it would if all were erased first.
  std::string frame;
  // A terminal remembers where it broke a line, and would join what is written
  // over it: not after this.
  if (resized_) frame += kEraseBelow;
  resized_ = false;
  while (!permanent.empty()) {
    const std::size_t end = permanent.find('\n');
    frame += permanent.substr(0, end);
    frame += kEraseToEndOfLine;
    frame += '\n';
    if (end == std::string_view::npos) break;
    permanent.remove_prefix(end + 1);
  }
  // The terminal may be narrower by now than anybody has told us: a line that
  // it broke would take two, and the way back up would be too short.
  if (!lines_.empty()) frame += kCut;
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    if (i > 0) frame += '\n';
    frame += lines_[i];
    frame += kEraseToEndOfLine;
  }
  frame += kEraseBelow;
  if (!lines_.empty()) {
    frame += kBreak;
    frame += '\r';
  }
  if (lines_.size() > 1) {
    frame += "\x1b[" + std::to_string(lines_.size() - 1) + "A";
  }
  WriteToTerminal(fd_, frame);
}

void LiveArea::Print(std::string_view text) { Write(text); }

void LiveArea::Resized() {
  resized_ = in_use_;
  lines_.clear();
}

void LiveArea::Draw(std::vector<std::string> lines) {
  if (lines == lines_ && !resized_) return;
  if (lines.empty()) return Erase();
  if (!in_use_) HideCursor(fd_);
  in_use_ = true;
  lines_ = std::move(lines);
  Write({});
}

void LiveArea::Erase() {
  if (!in_use_) return;
  in_use_ = false;
  lines_.clear();
  Write({});
  ShowCursor(fd_);
}

}  // namespace forkserver
