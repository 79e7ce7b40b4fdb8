#include "sdk/log/line_splitter.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace forkserver {
namespace {

using Pieces = std::vector<std::pair<std::string, bool>>;

// `bytes`, `size` of them at a time.
Pieces Split(std::string_view bytes, std::size_t max_piece, std::size_t size) {
  Pieces pieces;
  const auto add = [&pieces](std::string_view text, bool continued) {
    pieces.emplace_back(text, continued);
  };
  LineSplitter splitter(max_piece);
  for (std::size_t at = 0; at < bytes.size(); at += size) {
    splitter.Feed(bytes.substr(at, size), add);
  }
  splitter.Finish(add);
  return pieces;
}

TEST_CASE("lines are the same however the bytes arrive") {
  using namespace std::string_view_literals;
  const std::string_view bytes =
      "\n\none\ntwelve bytes\n\0\xff\xc3\n\nabcd\nrest"sv;
  const Pieces expected = {{"", false},
                           {"", false},
                           {"one", false},
                           {"twel", true},
                           {"ve b", true},
                           {"ytes", false},
                           {std::string("\0\xff\xc3", 3), false},
                           {"", false},
                           {"abcd", false},
                           {"rest", false}};
  for (std::size_t size = 1; size <= bytes.size(); ++size) {
    CAPTURE(size);
    CHECK(Split(bytes, 4, size) == expected);
  }
}

TEST_CASE("a line that is as long as a piece, or a byte longer or shorter") {
  for (std::size_t size = 1; size < 20; ++size) {
    CAPTURE(size);
    CHECK(Split("123456789\n", 10, size) == Pieces{{"123456789", false}});
    CHECK(Split("123456789\n", 9, size) == Pieces{{"123456789", false}});
    CHECK(Split("123456789\n", 8, size) ==
          Pieces{{"12345678", true}, {"9", false}});
    CHECK(Split("123456789", 8, size) ==
          Pieces{{"12345678", true}, {"9", false}});
    CHECK(Split("12345678", 8, size) == Pieces{{"12345678", false}});
  }
}

TEST_CASE("no bytes are no line") { CHECK(Split("", 4, 1).empty()); }

}  // namespace
}  // namespace forkserver
