// Signals as bytes in a pipe, to be polled for beside a connection.
#pragma once

#include <forkserver/result.h>

#include <initializer_list>
#include <vector>

#include "sdk/base/unique_fd.h"

namespace forkserver::cli {

// Catches the signals until it is destroyed, which gives them their default
// action. At most one object at a time in a process. A signal that was ignored
// (nohup, a background job of sh) stays ignored.
class SignalPipe {
 public:
  static Result<SignalPipe> Open(std::initializer_list<int> signals);
  SignalPipe(SignalPipe&&) = default;
  SignalPipe& operator=(SignalPipe&&) = delete;
  ~SignalPipe();

  // One more.
  void Catch(int signal);

  // A program that blocks in calls over `socket` cannot look at the pipe: a
  // SIGINT, SIGTERM or SIGHUP that is caught shuts it down as well, so that
  // they fail, and the next does what it does by default. `let_pass`: so many
  // of them do nothing yet. -1: none does.
  static void EndCallsOver(int socket, int let_pass = 0);
  // One has shut it down.
  static bool HasEndedCalls();

  // Readable when Take has something. Owned by this object.
  int descriptor() const { return read_end_.get(); }
  // Does once what `signal`, one of those that are caught, does by default.
  static void TakeDefaultAction(int signal);
  // The signals caught since the last call, in order. Does not block.
  std::vector<int> Take();

 private:
  SignalPipe() = default;

  UniqueFd read_end_;
  UniqueFd write_end_;
  std::vector<int> caught_;
};

}  // namespace forkserver::cli
