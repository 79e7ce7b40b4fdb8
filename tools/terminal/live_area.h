// The lines at the end of a terminal that are drawn again and again, below
// those that stay. The cursor rests at the beginning of the first of them, so
// that a terminal that breaks lines anew when it is resized does no harm: what
// is below the cursor is erased, however many lines it has become. (Only if
// they became so many that the first of them left the screen, it stays.)
//
// One write(2) for each change; blocks while the terminal is stopped. While it
// draws, the cursor is hidden; see terminal_guard.h for what ends badly.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace forkserver {

class LiveArea {
 public:
  // Borrows the descriptor of a terminal that can move its cursor.
  explicit LiveArea(int fd) : fd_(fd) {}
  LiveArea(const LiveArea&) = delete;
  LiveArea& operator=(const LiveArea&) = delete;
  ~LiveArea() { Erase(); }

  // Lines that stay, above the area. The last ends with '\n'.
  void Print(std::string_view text);
  // The area; each line is narrower than the terminal. Writes nothing when
  // nothing has changed.
  void Draw(std::vector<std::string> lines);
  // The terminal has another size: it may have broken the lines of the area
  // anew. They are erased with the next change, and drawn with the next Draw.
  void Resized();
  // No area; the cursor can be seen, at the beginning of a line.
  void Erase();

 private:
  void Write(std::string_view permanent);

  const int fd_;
  std::vector<std::string> lines_;
  bool in_use_ = false;  // the cursor is hidden
  bool resized_ = false;
};

}  // namespace forkserver
