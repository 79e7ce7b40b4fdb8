#include "tools/terminal/terminal_look.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace forkserver {
namespace {

bool IsSet(const char* value) { return value != nullptr && *value != '\0'; }

// As setlocale: the first that is set decides.
bool LocaleIsUtf8(const GetEnv& env) {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = env(name);
    if (!IsSet(value)) continue;
    std::string text = value;
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    return text.find("utf-8") != std::string::npos ||
           text.find("utf8") != std::string::npos;
  }
  return false;
}

int NumberIn(const char* name, int otherwise) {
  const char* value = std::getenv(name);
  const int number = value != nullptr ? std::atoi(value) : 0;
  return number > 0 ? number : otherwise;
}

}  // namespace

TerminalLook LookFor(bool is_terminal, ColorChoice colors, const GetEnv& env) {
  TerminalLook look;
  const char* term = env("TERM");
  const bool able = IsSet(term) && std::string_view(term) != "dumb";
  look.live = is_terminal && able;
  look.utf8 = LocaleIsUtf8(env);
  look.colors =
      colors == ColorChoice::kAlways ||
      (colors == ColorChoice::kAuto && look.live && !IsSet(env("NO_COLOR")));
  return look;
}

TerminalLook LookOf(int fd, ColorChoice colors) {
  TerminalLook look = LookFor(::isatty(fd) == 1, colors, [](const char* name) {
    return static_cast<const char*>(std::getenv(name));
  });
  UpdateSize(fd, look);
  return look;
}

void UpdateSize(int fd, TerminalLook& look) {
  winsize size = {};
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0) size = {};
  look.columns = size.ws_col > 0 ? size.ws_col : NumberIn("COLUMNS", 80);
  look.rows = size.ws_row > 0 ? size.ws_row : NumberIn("LINES", 24);
}

bool IsForeground(int fd) {
  const pid_t group = ::tcgetpgrp(fd);
  // Not our controlling terminal: nobody else's lines.
  return group < 0 || group == ::getpgrp();
}

std::string Painted(const TerminalLook& look, Paint paint,
                    std::string_view text) {
  if (!look.colors || paint == Paint::kPlain || text.empty()) {
    return std::string(text);
  }
  const auto code = [&]() -> const char* {
    switch (paint) {
      case Paint::kBold:
        return "\x1b[1m";
      case Paint::kDim:
        return "\x1b[2m";
      case Paint::kRed:
        return "\x1b[31m";
      case Paint::kGreen:
        return "\x1b[32m";
      case Paint::kYellow:
        return "\x1b[33m";
      case Paint::kCyan:
        return "\x1b[36m";
      case Paint::kBoldRed:
        return "\x1b[1;31m";
      case Paint::kPlain:
        break;
    }
    return "";
  };
  return std::string(code()) + std::string(text) + "\x1b[0m";
}

}  // namespace forkserver
