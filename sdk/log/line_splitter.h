// Bytes to lines. A line that is longer than a piece comes in pieces, so that
// a line of any length takes the memory of one piece. Bytes are bytes: neither
// NUL nor what is not UTF-8 is anything special.
//
// Passive, no I/O.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace forkserver {

class LineSplitter {
 public:
  explicit LineSplitter(std::size_t max_piece_bytes)
      : max_piece_bytes_(max_piece_bytes) {}

  // Calls `piece(std::string_view text, bool continued)` for every line that
  // `bytes` end, without its newline, and for every piece that is full.
  // `continued`: another piece of the same line follows, which is not empty.
  template <typename Piece>
  void Feed(std::string_view bytes, const Piece& piece) {
    while (!bytes.empty()) {
      const std::size_t newline = bytes.find('\n');
      const bool ends = newline != std::string_view::npos;
      const std::size_t size = ends ? newline : bytes.size();
      const std::size_t room = max_piece_bytes_ - held_.size();
      if (size > room) {
        Emit(bytes.substr(0, room), true, piece);
        bytes.remove_prefix(room);
      } else if (ends) {
        Emit(bytes.substr(0, size), false, piece);
        bytes.remove_prefix(size + 1);
      } else {
        held_ += bytes;
        return;
      }
    }
  }

  // The last line, if it has no newline.
  template <typename Piece>
  void Finish(const Piece& piece) {
    if (!held_.empty()) Emit({}, false, piece);
  }

 private:
  template <typename Piece>
  void Emit(std::string_view rest, bool continued, const Piece& piece) {
    if (held_.empty()) {
      piece(rest, continued);
    } else {
      held_ += rest;
      piece(std::string_view(held_), continued);
      held_.clear();
    }
  }

  std::size_t max_piece_bytes_;
  std::string held_;  // of a line that has not ended
};

}  // namespace forkserver
