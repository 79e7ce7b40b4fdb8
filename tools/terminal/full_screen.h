// A whole terminal, drawn again and again on its alternate screen: what was
// there before comes back when it is left.
//
// One write(2) for each drawing; blocks while the terminal is stopped. See
// terminal_guard.h for what ends badly.
#pragma once

#include <string>
#include <vector>

namespace forkserver {

class FullScreen {
 public:
  // Borrows the descriptor of a terminal that can move its cursor.
  explicit FullScreen(int fd) : fd_(fd) {}
  FullScreen(const FullScreen&) = delete;
  FullScreen& operator=(const FullScreen&) = delete;
  ~FullScreen() { Leave(); }

  // Enters it if need be. As many lines as the terminal has, each as wide as
  // it: they are written over what is there, so that nothing flickers. If it
  // has another size by now, what is too much is not seen.
  void Draw(const std::vector<std::string>& lines);
  // The terminal is as it was before the first Draw.
  void Leave();

 private:
  const int fd_;
  bool entered_ = false;
};

}  // namespace forkserver
