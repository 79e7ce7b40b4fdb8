// Single keys of a terminal, without waiting for the end of a line and without
// showing them. Ctrl-C and Ctrl-Z go on sending their signals.
//
// The runner's side:
//
//   Keyboard keyboard(STDIN_FILENO);          // does nothing on a pipe
//   for (;;) {
//     poll {keyboard.descriptor(), POLLIN}    // -1 is fine for poll(2): ask
//                                             // anew each time
//     if (readable && keyboard.Take().find('t') != npos) ...OnShowRunning
//     on a tick:  keyboard.Refresh();
//     SIGTSTP:    reporters.OnSuspend(); keyboard.Suspend(); raise(SIGSTOP)
//     SIGCONT:    keyboard.Resume(); reporters.OnResume();
//   }
//
// A process in the background neither reads nor changes the terminal, so that
// it is not stopped by SIGTTIN or SIGTTOU; descriptor() is -1 then.
//
// The modes are restored by Suspend, by the destructor, at exit and by the
// signals that end a process (see terminal_guard.h; RestoreTerminal() for those
// who leave by _exit). A test that changes the modes of the terminal itself is
// not noticed.
//
// One in a process; nothing here blocks.
#pragma once

#include <string>

namespace forkserver {

class Keyboard {
 public:
  // Borrows `fd`. Without effect if it is not a terminal of this process.
  explicit Keyboard(int fd);
  Keyboard(const Keyboard&) = delete;
  Keyboard& operator=(const Keyboard&) = delete;
  ~Keyboard();

  // What is to be polled for reading; -1: nothing now.
  int descriptor() const { return listening_ ? fd_ : -1; }

  // The keys that were pressed since the last call.
  std::string Take();

  // Looks whether this process has come to the foreground or left it.
  void Refresh();

  // Gives the terminal back, until Resume.
  void Suspend();
  void Resume();

 private:
  void Listen();
  void StopListening();

  const int fd_;
  bool usable_ = false;
  bool suspended_ = false;
  bool listening_ = false;
};

}  // namespace forkserver
