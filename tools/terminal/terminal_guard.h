// A terminal is given back as it was found, whatever ends this process: what
// has been changed is noted here, and undone at exit and by the handlers of
// signals that end a process (where nobody else handles them). A process that
// is killed by SIGKILL cannot.
//
// One terminal in a process. For the thread of the harness only; what the
// handlers do is async-signal-safe.
#pragma once

#include <termios.h>

#include <string_view>

namespace forkserver {

// Writes all of `text`. A process in the background is not stopped by it, even
// if the terminal was told to (stty tostop): whoever started it there wants it
// to run. Errors are nobody's to be told.
void WriteToTerminal(int fd, std::string_view text);

// Hides the cursor, and notes it.
void HideCursor(int fd);
void ShowCursor(int fd);

// Shows the alternate screen, and notes it; the other one stays as it is.
void EnterAlternateScreen(int fd);
void LeaveAlternateScreen(int fd);

// Sets the modes of a terminal, and notes those that it had. False: errno says
// why. A process in the background is not stopped by it.
bool ChangeModes(int fd, const termios& modes);
// The modes are as before the first ChangeModes.
void RestoreModes();
// The modes belong to somebody else now.
void ForgetModes();

// Undoes everything. Async-signal-safe: for those who leave by _exit.
void RestoreTerminal();

}  // namespace forkserver
