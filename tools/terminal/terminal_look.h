// What a terminal can show, and how wide it is.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "tools/terminal/text_safety.h"

namespace forkserver {

enum class ColorChoice { kAuto, kAlways, kNever };

struct TerminalLook {
  bool live = false;  // the cursor can be moved: a bar can be drawn
  bool colors = false;
  bool utf8 = false;
  int columns = 80;
  int rows = 24;
  TextLook text() const { return {utf8, colors}; }
};

// Value of an environment variable; null: not set.
using GetEnv = std::function<const char*(const char*)>;

// From TERM, NO_COLOR, LC_ALL, LC_CTYPE, LANG. Has no size yet. Pure.
TerminalLook LookFor(bool is_terminal, ColorChoice colors, const GetEnv& env);

// Of a descriptor, with the environment of this process and its size.
TerminalLook LookOf(int fd, ColorChoice colors);

// The size that the terminal has now; COLUMNS and LINES where it has none.
void UpdateSize(int fd, TerminalLook& look);

// False: this process is in the background of the terminal `fd`, whose lines
// belong to somebody else now.
bool IsForeground(int fd);

enum class Paint {
  kPlain,
  kBold,
  kDim,
  kRed,
  kGreen,
  kYellow,
  kCyan,
  kBoldRed
};
// `text`, which is safe, in a colour where there are colours.
std::string Painted(const TerminalLook& look, Paint paint,
                    std::string_view text);

}  // namespace forkserver
