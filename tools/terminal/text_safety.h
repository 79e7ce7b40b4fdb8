// Text of others, of tests say, made safe for the place where it is shown. It
// may be any bytes: escape sequences, half characters, megabytes of one line.
//
// All functions are pure and linear in the length of their text.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace forkserver {

// What a terminal, or a log, can show.
struct TextLook {
  bool utf8 = true;     // false: every character beyond ASCII is a '?'
  bool colors = false;  // colours of the text stay, and end with their line
};

// Well-formed UTF-8: every byte that is not part of a character is U+FFFD.
std::string ValidUtf8(std::string_view text);

// Lines that end with '\n'. Other control characters are shown ("^G", "^[");
// a carriage return begins a new line. Characters that change the direction of
// text are replaced. Escape sequences for colours are left out, or stay.
std::string SafeForTerminal(std::string_view text, TextLook look);

// The same for a name: line breaks and tabs are blanks.
std::string SafeOnOneLine(std::string_view text, TextLook look);

// How many columns of a terminal text takes that is safe and has no escape
// sequences.
int DisplayWidth(std::string_view text);

// `text`, safe and without escape sequences, in at most `columns`: what is in
// the middle is left out, with a sign for it.
std::string FitColumns(std::string_view text, int columns, bool utf8);

// Appends `text` to XML 1.0. Characters that XML forbids are U+FFFD, escape
// sequences for colours are left out, markup is escaped.
void AppendXml(std::string& xml, std::string_view text);
// The same for the value of an attribute, in which line breaks stay.
void AppendXmlAttribute(std::string& xml, std::string_view text);

// JSON text that can stand in a <script> of a page: no '<' in it.
std::string JsonForScript(std::string json);

// "5,000".
std::string Grouped(std::size_t number);

}  // namespace forkserver
