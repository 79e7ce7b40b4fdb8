// A terminal for a worker, behind the one that this command runs in: what is
// typed here goes there, what it shows is shown here. `run -t`.
#pragma once

#include <forkserver/result.h>
#include <poll.h>
#include <sys/types.h>
#include <termios.h>

#include <optional>
#include <string>
#include <vector>

#include "sdk/process/pseudo_terminal.h"

namespace forkserver::cli {

// Standard input and output need not be terminals: input that ends is ended
// there too, as by Ctrl-D, and the size is 80 x 24 if there is none.
class TerminalRelay {
 public:
  // Makes the worker's terminal, of the size of this one.
  static Result<TerminalRelay> Open();
  TerminalRelay(TerminalRelay&&) = default;
  TerminalRelay& operator=(TerminalRelay&&) = delete;
  // As Finish.
  ~TerminalRelay();

  // For the worker's descriptors 0, 1 and 2. Owned by this object, until Begin.
  int worker_side() const { return terminal_.worker_side.get(); }

  // The worker runs: from now on each key goes to it, Ctrl-C too.
  void Begin(pid_t worker);
  // Shows what is left of its output, and this terminal is as before.
  void Finish();

  // What to wait for; none before Begin.
  std::vector<pollfd> Polled() const;
  // Moves what can be moved. Blocks while this terminal does. True if Ctrl-Z
  // was typed and means this command: the worker would be stopped by it in a
  // terminal, and here nobody could continue it.
  bool Move();

  // This terminal is another size.
  void Resize();
  // Around a stop of this command: this terminal as before, and raw again.
  void Leave();
  void Enter();

 private:
  explicit TerminalRelay(PseudoTerminal terminal);

  void ReadInput();
  void WriteInput();
  // False: nothing more at present.
  bool ShowOutput();
  bool SuspendsUs(char key) const;

  PseudoTerminal terminal_;
  pid_t worker_ = 0;  // 0: it does not run yet
  std::optional<termios> before_;
  std::string input_;  // read here, not written there
  char last_input_ = '\n';
  bool input_ended_ = false;
  bool output_ended_ = false;
};

}  // namespace forkserver::cli
