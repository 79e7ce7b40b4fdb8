#include "tools/terminal/keyboard.h"

#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>

#include "tools/terminal/terminal_guard.h"

namespace forkserver {

Keyboard::Keyboard(int fd) : fd_(fd) {
  // It must be the controlling terminal: of another one nobody can say who is
  // in the foreground, and keys typed there are not meant for us.
  usable_ = ::isatty(fd) == 1 && ::tcgetpgrp(fd) >= 0;
  Refresh();
}

Keyboard::~Keyboard() { StopListening(); }

void Keyboard::Refresh() {
  if (!usable_ || suspended_) return;
  const bool foreground = ::tcgetpgrp(fd_) == ::getpgrp();
  if (foreground && !listening_) {
    Listen();
  } else if (!foreground && listening_) {
    // The shell has set its own modes: there is nothing to be restored.
    ForgetModes();
    listening_ = false;
  }
}

void Keyboard::Listen() {
  termios modes;
  if (::tcgetattr(fd_, &modes) != 0) return;
  modes.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  modes.c_cc[VMIN] = 1;
  modes.c_cc[VTIME] = 0;
  listening_ = ChangeModes(fd_, modes);
}

void Keyboard::StopListening() {
  if (!listening_) return;
  listening_ = false;
  RestoreModes();
}

std::string Keyboard::Take() {
  std::string keys;
  Refresh();
  while (listening_) {
    pollfd ready = {fd_, POLLIN, 0};
    if (::poll(&ready, 1, 0) != 1) break;
    char buffer[64];
    const ssize_t count = ::read(fd_, buffer, sizeof buffer);
    if (count > 0) {
      keys.append(buffer, static_cast<std::size_t>(count));
    } else if (count == 0 || errno != EINTR) {
      // The terminal has gone: its readiness would never end.
      usable_ = false;
      listening_ = false;
    }
  }
  return keys;
}

void Keyboard::Suspend() {
  StopListening();
  suspended_ = true;
}

void Keyboard::Resume() {
  suspended_ = false;
  // Somebody may have set other modes while we were stopped.
  if (listening_) {
    ForgetModes();
    listening_ = false;
  }
  Refresh();
}

}  // namespace forkserver
