#include "tools/terminal/full_screen.h"

#include <cstddef>

#include "tools/terminal/terminal_guard.h"

namespace forkserver {
namespace {

// Lines that are too long are cut, or broken.
constexpr const char* kCut = "\x1b[?7l";
constexpr const char* kBreak = "\x1b[?7h";

}  // namespace

void FullScreen::Draw(const std::vector<std::string>& lines) {
  if (!entered_) {
    entered_ = true;
    EnterAlternateScreen(fd_);
    HideCursor(fd_);
  }
  std::string frame = kCut;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    frame += "\x1b[" + std::to_string(i + 1) + ";1H" + lines[i];
  }
  frame += kBreak;
  WriteToTerminal(fd_, frame);
}

void FullScreen::Leave() {
  if (!entered_) return;
  entered_ = false;
  ShowCursor(fd_);
  LeaveAlternateScreen(fd_);
}

}  // namespace forkserver
