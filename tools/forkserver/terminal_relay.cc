#include "tools/forkserver/terminal_relay.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

#include "sdk/base/unix_socket.h"
#include "sdk/process/platform.h"
#include "tools/terminal/write_all.h"

namespace forkserver::cli {
namespace {

constexpr std::size_t kChunkBytes = 16384;
// Not read any further while so much waits to be written.
constexpr std::size_t kMaxInputBytes = 65536;

winsize SizeOfThisTerminal() {
  winsize size = {};
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col != 0) return size;
  }
  size.ws_row = 24;
  size.ws_col = 80;
  return size;
}

}  // namespace

TerminalRelay::TerminalRelay(PseudoTerminal terminal)
    : terminal_(std::move(terminal)) {}

TerminalRelay::~TerminalRelay() {
  if (terminal_.our_side) Finish();
}

Result<TerminalRelay> TerminalRelay::Open() {
  auto terminal = PseudoTerminal::Make(SizeOfThisTerminal());
  if (!terminal) return terminal.error();
  // A worker that does not read must not hold up its own output.
  SetNonBlocking(terminal->our_side.get());
  return TerminalRelay(std::move(*terminal));
}

void TerminalRelay::Begin(pid_t worker) {
  worker_ = worker;
  terminal_.worker_side.Reset();
  Enter();
}

void TerminalRelay::Finish() {
  if (worker_ != 0) {
    while (ShowOutput()) {
    }
  }
  Leave();
  terminal_.our_side.Reset();
}

void TerminalRelay::Enter() {
  termios now = {};
  if (::tcgetattr(STDIN_FILENO, &now) != 0) return;
  if (!before_) before_ = now;
  ::cfmakeraw(&now);
  ::tcsetattr(STDIN_FILENO, TCSADRAIN, &now);
}

void TerminalRelay::Leave() {
  if (before_) ::tcsetattr(STDIN_FILENO, TCSADRAIN, &*before_);
  before_.reset();
}

void TerminalRelay::Resize() {
  const winsize size = SizeOfThisTerminal();
  // The kernel sends SIGWINCH there.
  (void)::ioctl(terminal_.our_side.get(), TIOCSWINSZ, &size);
}

std::vector<pollfd> TerminalRelay::Polled() const {
  std::vector<pollfd> polled;
  if (worker_ == 0) return polled;
  if (!input_ended_ && input_.size() < kMaxInputBytes) {
    polled.push_back({STDIN_FILENO, POLLIN, 0});
  }
  short events = output_ended_ ? 0 : POLLIN;
  if (!input_.empty()) events |= POLLOUT;
  if (events != 0) polled.push_back({terminal_.our_side.get(), events, 0});
  return polled;
}

bool TerminalRelay::Move() {
  if (worker_ == 0) return false;
  WriteInput();
  (void)ShowOutput();
  pollfd readable = {STDIN_FILENO, POLLIN, 0};
  if (!input_ended_ && input_.size() < kMaxInputBytes &&
      ::poll(&readable, 1, 0) == 1) {
    ReadInput();
  }
  for (std::size_t at = 0; at < input_.size(); ++at) {
    if (!SuspendsUs(input_[at])) continue;
    std::string rest = input_.substr(at + 1);
    input_.resize(at);
    WriteInput();
    input_ += rest;
    return true;
  }
  WriteInput();
  return false;
}

void TerminalRelay::ReadInput() {
  char bytes[kChunkBytes];
  const ssize_t size = ::read(STDIN_FILENO, bytes, sizeof(bytes));
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size > 0) {
    input_.append(bytes, static_cast<std::size_t>(size));
    last_input_ = input_.back();
    return;
  }
  input_ended_ = true;
  termios there = {};
  if (::tcgetattr(terminal_.our_side.get(), &there) != 0) return;
  const char end = static_cast<char>(there.c_cc[VEOF]);
  // The first one only ends a line that has begun.
  if (last_input_ != '\n') input_ += end;
  input_ += end;
}

void TerminalRelay::WriteInput() {
  while (!input_.empty()) {
    const ssize_t size =
        ::write(terminal_.our_side.get(), input_.data(), input_.size());
    if (size <= 0) {
      // Nobody will read it: the worker is about to end.
      if (errno != EAGAIN && errno != EINTR) input_.clear();
      return;
    }
    input_.erase(0, static_cast<std::size_t>(size));
  }
}

bool TerminalRelay::ShowOutput() {
  if (output_ended_) return false;
  char bytes[kChunkBytes];
  const ssize_t size = ::read(terminal_.our_side.get(), bytes, sizeof(bytes));
  if (size < 0 && errno == EINTR) return true;
  if (size < 0 && errno == EAGAIN) return false;
  if (size <= 0) {
    output_ended_ = true;
    return false;
  }
  // Where nobody reads it any more it is nobody's to be told.
  (void)WriteAll(STDOUT_FILENO, {bytes, static_cast<std::size_t>(size)});
  return true;
}

// A process is not stopped from its terminal unless its group has a parent in
// the session that could continue it; the worker's has none.
bool TerminalRelay::SuspendsUs(char key) const {
  termios there = {};
  const int fd = terminal_.our_side.get();
  return before_ && ::tcgetattr(fd, &there) == 0 &&
         (there.c_lflag & ISIG) != 0 &&
         static_cast<char>(there.c_cc[VSUSP]) == key &&
         ::tcgetpgrp(fd) == worker_ && TakesDefaultAction(worker_, SIGTSTP);
}

}  // namespace forkserver::cli
