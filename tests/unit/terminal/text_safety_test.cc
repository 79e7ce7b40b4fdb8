#include "tools/terminal/text_safety.h"

#include <doctest/doctest.h>

#include <string>

namespace forkserver {
namespace {

using std::string_literals::operator""s;

constexpr char kBad[] = "\xEF\xBF\xBD";  // U+FFFD
const TextLook kPlain{.utf8 = true, .colors = false};
const TextLook kColored{.utf8 = true, .colors = true};
const TextLook kAscii{.utf8 = false, .colors = false};

TEST_CASE("what is UTF-8 stays, and every other byte is replaced") {
  CHECK(ValidUtf8("Łukasz 東京 🙂") == "Łukasz 東京 🙂");
  CHECK(ValidUtf8("a\xff\xfe"s + "b") == "a"s + kBad + kBad + "b");
  // Half a character is one, overlong forms and surrogates are none.
  CHECK(ValidUtf8("\xe6\x9d") == kBad);
  CHECK(ValidUtf8("\xe6\x9d!") == kBad + "!"s);
  CHECK(ValidUtf8("\xc0\xaf") == kBad + ""s + kBad);
  CHECK(ValidUtf8("\xed\xa0\x80").find("\xed") == std::string::npos);
  CHECK(ValidUtf8("\xf4\x90\x80\x80").find("\xf4") == std::string::npos);
}

TEST_CASE("a test cannot move the cursor of a terminal, nor ring its bell") {
  CHECK(SafeForTerminal("\x1b[2J\x1b[H\x07", kPlain) == "^[[2J^[[H^G");
  CHECK(SafeForTerminal("\x1b]0;title\x07", kColored) == "^[]0;title^G");
  CHECK(SafeForTerminal("a\bb\x7f", kPlain) == "a^Hb^?");
  CHECK(SafeForTerminal("nul\0!"s, kPlain) == "nul^@!");
  // The same sequences as a single character, in UTF-8.
  CHECK(SafeForTerminal("\xc2\x9b"
                        "31m",
                        kPlain) == "\\x9b31m");
  CHECK(SafeForTerminal("abc \xe2\x80\xae txt", kPlain) ==
        "abc "s + kBad + " txt");
}

TEST_CASE("lines end with a line feed, whatever the test wrote") {
  CHECK(SafeForTerminal("a\r\nb\r\n", kPlain) == "a\nb\n");
  CHECK(SafeForTerminal("10%\r20%\r", kPlain) == "10%\n20%\n");
  CHECK(SafeForTerminal("a\tb\n", kPlain) == "a\tb\n");
  CHECK(SafeOnOneLine("a\nb\r\nc\td", kPlain) == "a b c d");
}

TEST_CASE("colours stay where there are colours, and end with their line") {
  CHECK(SafeForTerminal("\x1b[31mred\x1b[0m", kPlain) == "red");
  CHECK(SafeForTerminal("\x1b[31mred\x1b[0m.", kColored) ==
        "\x1b[31mred\x1b[0m.");
  CHECK(SafeForTerminal("\x1b[1;31mone\ntwo", kColored) ==
        "\x1b[1;31mone\x1b[0m\n\x1b[1;31mtwo\x1b[0m");
  // One that is not complete, or too long, is no colour.
  CHECK(SafeForTerminal("\x1b[31", kColored) == "^[[31");
  const std::string long_one = "\x1b[" + std::string(1000, '1') + "m";
  CHECK(SafeForTerminal(long_one, kColored).substr(0, 3) == "^[[");
}

TEST_CASE("without UTF-8 every character beyond ASCII is one question mark") {
  CHECK(SafeForTerminal("Łu 東\xff!", kAscii) ==
        "?u ?"
        "?!");
}

TEST_CASE("the width of text is counted in columns") {
  CHECK(DisplayWidth("abc") == 3);
  CHECK(DisplayWidth("Łukasz") == 6);
  CHECK(DisplayWidth("東京") == 4);
  CHECK(DisplayWidth("e\xcc\x81") == 1);  // a combining accent
  CHECK(DisplayWidth("") == 0);
}

TEST_CASE("text that does not fit loses its middle, and never is too wide") {
  CHECK(FitColumns("short", 10, true) == "short");
  CHECK(FitColumns("a long name of a test", 10, true) == "a l…a test");
  CHECK(FitColumns("a long name of a test", 10, false) == "a ..a test");
  for (const char* text : {"a long name of a test", "東京東京東京東京東京",
                           "e\xcc\x81xe\xcc\x81xe\xcc\x81x", "x"}) {
    for (int columns = 0; columns < 25; ++columns) {
      CAPTURE(text);
      CAPTURE(columns);
      for (const bool utf8 : {true, false}) {
        CHECK(DisplayWidth(FitColumns(text, columns, utf8)) <= columns);
      }
    }
  }
}

TEST_CASE("nothing in XML is markup, or a character that XML forbids") {
  std::string xml;
  AppendXml(xml, "<a> & ]]> \"q\" \x01\x1b[31mred\x1b[0m\0\n\r"s);
  CHECK(xml == "&lt;a&gt; &amp; ]]&gt; &quot;q&quot; "s + kBad + "red" + kBad +
                   "\n&#13;");
  xml.clear();
  AppendXml(xml, "\xef\xbf\xbe\xef\xbf\xbf");  // U+FFFE, U+FFFF
  CHECK(xml == kBad + ""s + kBad);
  xml.clear();
  AppendXmlAttribute(xml, "two\nlines\t.");
  CHECK(xml == "two&#10;lines&#9;.");
}

TEST_CASE("JSON for a page has nothing that could end its element") {
  CHECK(JsonForScript(R"("</script><!--")") == R"("\u003c/script>\u003c!--")");
}

TEST_CASE("numbers are grouped") {
  CHECK(Grouped(0) == "0");
  CHECK(Grouped(999) == "999");
  CHECK(Grouped(1000) == "1,000");
  CHECK(Grouped(1234567) == "1,234,567");
}

}  // namespace
}  // namespace forkserver
