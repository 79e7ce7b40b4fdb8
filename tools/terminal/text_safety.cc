#include "tools/terminal/text_safety.h"

#include <locale.h>
#include <wchar.h>
#ifdef __APPLE__
#include <xlocale.h>
#endif

#include <algorithm>
#include <cstdint>
#include <vector>

namespace forkserver {
namespace {

constexpr char32_t kReplacement = 0xFFFD;
constexpr std::string_view kReplacementUtf8 = "\xEF\xBF\xBD";

struct Character {
  char32_t code = kReplacement;
  std::size_t bytes = 1;
  bool valid = false;
};

// The character at `at`. An invalid one is as long as the part of it that
// could have become a character, as the Unicode standard advises.
Character Decode(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return {first, 1, true};
  std::size_t length = 0;
  unsigned low = 0x80;
  unsigned high = 0xBF;
  if (first >= 0xC2 && first <= 0xDF) {
    length = 2;
  } else if (first >= 0xE0 && first <= 0xEF) {
    length = 3;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;  // surrogates
  } else if (first >= 0xF0 && first <= 0xF4) {
    length = 4;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
  } else {
    return {};
  }
  char32_t code = first & (0xFFu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    const unsigned next = byte(i);
    if (next < low || next > high) return {kReplacement, i, false};
    code = (code << 6) | (next & 0x3Fu);
    low = 0x80;
    high = 0xBF;
  }
  return {code, length, true};
}

// Would show the rest of its line in another order.
bool ChangesDirection(char32_t code) {
  return code == 0x061C || code == 0x200E || code == 0x200F ||
         (code >= 0x202A && code <= 0x202E) ||
         (code >= 0x2066 && code <= 0x2069);
}

// The length of an escape sequence that sets colours, at `at`; 0: it is none.
std::size_t ColorSequence(std::string_view text, std::size_t at) {
  constexpr std::size_t kLongest = 64;
  if (at + 2 >= text.size() || text[at] != '\x1b' || text[at + 1] != '[') {
    return 0;
  }
  for (std::size_t i = at + 2; i < text.size() && i < at + kLongest; ++i) {
    const char c = text[i];
    if (c == 'm') return i + 1 - at;
    if ((c < '0' || c > '9') && c != ';' && c != ':') return 0;
  }
  return 0;
}

// Takes the sequences for colours of one text, and ends them at each line's
// end: what is printed beside a line must not get its colour.
class Colors {
 public:
  explicit Colors(bool keep) : keep_(keep) {}
  void Set(std::string& out, std::string_view sequence) {
    if (!keep_) return;
    out += sequence;
    const bool reset = sequence == "\x1b[m" || sequence == "\x1b[0m";
    // Nobody nests hundreds; whoever does loses the older ones.
    if (reset || active_.size() > 256) active_.clear();
    if (!reset) active_ += sequence;
  }
  void EndLine(std::string& out) const {
    if (!active_.empty()) out += "\x1b[0m";
  }
  void BeginLine(std::string& out) const { out += active_; }

 private:
  const bool keep_;
  std::string active_;
};

void AppendControl(std::string& out, char32_t code) {
  if (code == 0x7F) {
    out += "^?";
  } else if (code < 0x20) {
    out += '^';
    out += static_cast<char>(code + 0x40);
  } else {  // C1, which some terminals take for escape sequences
    static constexpr char kHex[] = "0123456789abcdef";
    out += "\\x";
    out += kHex[(code >> 4) & 0xF];
    out += kHex[code & 0xF];
  }
}

std::string Safe(std::string_view text, TextLook look, bool one_line) {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  Colors colors(look.colors);
  for (std::size_t at = 0; at < text.size();) {
    if (const std::size_t length = ColorSequence(text, at)) {
      colors.Set(out, text.substr(at, length));
      at += length;
      continue;
    }
    const Character character = Decode(text, at);
    const char32_t code = character.code;
    const std::string_view bytes = text.substr(at, character.bytes);
    at += character.bytes;
    if (code == '\r' && at < text.size() && text[at] == '\n') continue;
    if (code == '\n' || code == '\r') {
      if (one_line) {
        out += ' ';
      } else {
        colors.EndLine(out);
        out += '\n';
        colors.BeginLine(out);
      }
    } else if (code == '\t') {
      out += one_line ? ' ' : '\t';
    } else if (code < 0x20 || (code >= 0x7F && code < 0xA0)) {
      AppendControl(out, code);
    } else if (code < 0x80) {
      out += static_cast<char>(code);
    } else if (!look.utf8) {
      out += '?';
    } else if (!character.valid || ChangesDirection(code) || code == 0x2028 ||
               code == 0x2029) {
      out += kReplacementUtf8;
    } else {
      out += bytes;
    }
  }
  colors.EndLine(out);
  return out;
}

// libc's table of widths, whatever the locale of this process.
class WidthTable {
 public:
  WidthTable() {
    for (const char* name : {"C.UTF-8", "en_US.UTF-8", "UTF-8"}) {
      locale_ = ::newlocale(LC_CTYPE_MASK, name, nullptr);
      if (locale_ != nullptr) return;
    }
  }
  int WidthOf(char32_t code) const {
    if (code < 0x80 || locale_ == nullptr) return 1;
    const locale_t before = ::uselocale(locale_);
    const int width = ::wcwidth(static_cast<wchar_t>(code));
    ::uselocale(before);
    return width < 0 ? 1 : width;
  }

 private:
  locale_t locale_ = nullptr;
};

int WidthOf(char32_t code) {
  // Never destroyed: whoever prints at exit may use it.
  static const WidthTable& table = *new WidthTable;
  return table.WidthOf(code);
}

// What XML 1.0 lets into a document, as a character or as a reference.
bool AllowedInXml(char32_t code) {
  return code == '\t' || code == '\n' || code == '\r' ||
         (code >= 0x20 && code <= 0xD7FF) ||
         (code >= 0xE000 && code <= 0xFFFD) || code >= 0x10000;
}

void AppendEscaped(std::string& xml, std::string_view text, bool attribute) {
  for (std::size_t at = 0; at < text.size();) {
    if (const std::size_t length = ColorSequence(text, at)) {
      at += length;
      continue;
    }
    const Character character = Decode(text, at);
    const std::string_view bytes = text.substr(at, character.bytes);
    at += character.bytes;
    switch (character.code) {
      case '&':
        xml += "&amp;";
        break;
      case '<':
        xml += "&lt;";
        break;
      case '>':
        xml += "&gt;";
        break;
      case '"':
        xml += "&quot;";
        break;
      case '\r':  // as a line break it would be lost
        xml += "&#13;";
        break;
      case '\n':
        xml += attribute ? "&#10;" : "\n";
        break;
      case '\t':
        xml += attribute ? "&#9;" : "\t";
        break;
      default:
        xml += character.valid && AllowedInXml(character.code)
                   ? bytes
                   : kReplacementUtf8;
    }
  }
}

}  // namespace

std::string ValidUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Character character = Decode(text, at);
    out +=
        character.valid ? text.substr(at, character.bytes) : kReplacementUtf8;
    at += character.bytes;
  }
  return out;
}

std::string SafeForTerminal(std::string_view text, TextLook look) {
  return Safe(text, look, false);
}

std::string SafeOnOneLine(std::string_view text, TextLook look) {
  return Safe(text, look, true);
}

int DisplayWidth(std::string_view text) {
  int width = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Character character = Decode(text, at);
    width += WidthOf(character.code);
    at += character.bytes;
  }
  return width;
}

std::string FitColumns(std::string_view text, int columns, bool utf8) {
  if (columns <= 0) return {};
  if (DisplayWidth(text) <= columns) return std::string(text);
  const std::string_view sign = utf8 ? "\xE2\x80\xA6" : "..";
  const int sign_width = utf8 ? 1 : 2;
  if (columns <= sign_width)
    return std::string(sign_width, '.').substr(0, columns);
  // Names differ at their end: two thirds of the room are for that.
  const int room = columns - sign_width;
  const int room_before = room / 3;
  std::vector<std::pair<std::size_t, int>> starts;  // of characters, width
  for (std::size_t at = 0; at < text.size();) {
    const Character character = Decode(text, at);
    starts.emplace_back(at, WidthOf(character.code));
    at += character.bytes;
  }
  int used = 0;
  std::size_t before = 0;
  while (before < starts.size() &&
         used + starts[before].second <= room_before) {
    used += starts[before++].second;
  }
  std::size_t after = starts.size();
  while (after > before && used + starts[after - 1].second <= room) {
    used += starts[--after].second;
  }
  // A character without width belongs to the one before it.
  while (after < starts.size() && starts[after].second == 0) ++after;
  std::string out(text.substr(
      0, before < starts.size() ? starts[before].first : text.size()));
  out += sign;
  if (after < starts.size()) out += text.substr(starts[after].first);
  return out;
}

void AppendXml(std::string& xml, std::string_view text) {
  AppendEscaped(xml, text, false);
}

void AppendXmlAttribute(std::string& xml, std::string_view text) {
  AppendEscaped(xml, text, true);
}

std::string JsonForScript(std::string json) {
  if (json.find('<') == std::string::npos) return json;
  std::string out;
  out.reserve(json.size() + json.size() / 8);
  for (const char c : json) {
    if (c == '<') {
      out += "\\u003c";
    } else {
      out += c;
    }
  }
  return out;
}

std::string Grouped(std::size_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

}  // namespace forkserver
