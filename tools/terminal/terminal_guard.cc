#include "tools/terminal/terminal_guard.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <string_view>

#include "tools/terminal/write_all.h"

namespace forkserver {
namespace {

constexpr std::string_view kHide = "\x1b[?25l";
constexpr std::string_view kShow = "\x1b[?25h";
constexpr std::string_view kEnter = "\x1b[?1049h";
// Whoever draws there may have been cut off where lines are not to be broken.
constexpr std::string_view kLeave = "\x1b[?7h\x1b[?1049l";

// -1: nothing to be undone.
std::atomic<int> cursor_fd{-1};
std::atomic<int> screen_fd{-1};
std::atomic<int> modes_fd{-1};
// Written only while modes_fd is -1.
termios found_modes;
pid_t owner = 0;

// tcsetattr from the background stops the process, and so may write, unless the
// signal is blocked.
class SigttouBlocked {
 public:
  SigttouBlocked() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTTOU);
    ::pthread_sigmask(SIG_BLOCK, &set, &before_);
  }
  ~SigttouBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SigttouBlocked(const SigttouBlocked&) = delete;
  SigttouBlocked& operator=(const SigttouBlocked&) = delete;

 private:
  sigset_t before_;
};

bool SetModes(int fd, const termios& modes) {
  const SigttouBlocked blocked;
  while (::tcsetattr(fd, TCSADRAIN, &modes) != 0) {
    if (errno != EINTR) return false;
  }
  return true;
}

void OnFatalSignal(int signal) {
  RestoreTerminal();
  // SA_RESETHAND: now it does what it does.
  ::raise(signal);
}

void AtExit() { RestoreTerminal(); }

void WatchForTheEnd() {
  owner = ::getpid();
  static const bool once = [] {
    std::atexit(AtExit);
    for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGQUIT,
                             SIGHUP, SIGINT, SIGTERM}) {
      struct sigaction action = {};
      if (::sigaction(signal, nullptr, &action) != 0 ||
          action.sa_handler != SIG_DFL) {
        continue;  // somebody else's, or ignored
      }
      action.sa_handler = OnFatalSignal;
      action.sa_flags = static_cast<int>(SA_RESETHAND);
      sigemptyset(&action.sa_mask);
      ::sigaction(signal, &action, nullptr);
    }
    return true;
  }();
  static_cast<void>(once);
}

}  // namespace

void WriteToTerminal(int fd, std::string_view text) {
  const SigttouBlocked blocked;
  WriteAll(fd, text);
}

void HideCursor(int fd) {
  WatchForTheEnd();
  cursor_fd = fd;
  WriteToTerminal(fd, kHide);
}

void ShowCursor(int fd) {
  if (cursor_fd.exchange(-1) >= 0) WriteToTerminal(fd, kShow);
}

void EnterAlternateScreen(int fd) {
  WatchForTheEnd();
  screen_fd = fd;
  WriteToTerminal(fd, kEnter);
}

void LeaveAlternateScreen(int fd) {
  if (screen_fd.exchange(-1) >= 0) WriteToTerminal(fd, kLeave);
}

bool ChangeModes(int fd, const termios& modes) {
  if (modes_fd < 0) {
    if (::tcgetattr(fd, &found_modes) != 0) return false;
    WatchForTheEnd();
    modes_fd = fd;
  }
  return SetModes(fd, modes);
}

void RestoreModes() {
  const int fd = modes_fd.exchange(-1);
  // In the background they are the shell's.
  if (fd >= 0 && ::tcgetpgrp(fd) == ::getpgrp()) SetModes(fd, found_modes);
}

void ForgetModes() { modes_fd = -1; }

void RestoreTerminal() {
  // A forked child has nothing to give back.
  if (owner != ::getpid()) return;
  const int error_number = errno;
  const SigttouBlocked blocked;
  const auto undo = [](std::atomic<int>& changed, std::string_view sequence) {
    const int fd = changed.exchange(-1);
    if (fd < 0) return;
    static_cast<void>(!::write(fd, sequence.data(), sequence.size()));
  };
  undo(cursor_fd, kShow);
  undo(screen_fd, kLeave);
  RestoreModes();
  errno = error_number;
}

}  // namespace forkserver
