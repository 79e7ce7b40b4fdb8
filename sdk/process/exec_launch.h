// Fork + exec that never suspends the caller for a program or a filesystem.
// One launch is two phases: Start returns as soon as the child exists (and has
// its own descriptors, see ExecPlan::share_from); the child's status pipe tells
// later whether its program runs or which step failed.
//
// Linux: clone(CLONE_VM) without CLONE_VFORK, on a stack of its own; the child
// makes raw system calls only. Where that is not possible, and on macOS: plain
// fork. The caller must not be in a signal handler.
#pragma once

#include <forkserver/result.h>
#include <sys/types.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/process/child_setup.h"
#include "sdk/protocol/messages.h"

namespace forkserver {

// How the child is made. Tests go through all of them; kBest falls back by
// itself.
enum class LaunchMethod { kBest, kSharedMemory, kFork };

struct ExecPlan {
  ChildPlan child;
  std::vector<std::string> argv;
  std::vector<std::string> env;
  // Programs to try in turn, as execvp(3) does; from FindCandidates.
  std::vector<std::string> candidates;
  // The child stores its pid here before anything else, or nullptr. Memory
  // that is shared with the keeper.
  std::atomic<pid_t>* publish_pid = nullptr;
  LaunchMethod method = LaunchMethod::kBest;
  // For a process of one thread and hundreds of descriptors, of which the
  // child needs none from this number up: they are not copied, and Start waits
  // for the moment until the child has its own table. 0: all are copied.
  int share_from = 0;
  bool want_pidfd = true;
  // Signals that may have a handler or be ignored in the caller and are set
  // to default in the child. Empty: all of them.
  std::vector<int> signals_to_reset;
};

// Where argv0 may be: itself if it has a slash, else each folder of the PATH
// in `env` (of a default path if there is none).
std::vector<std::string> FindCandidates(const std::string& argv0,
                                        const std::vector<std::string>& env);

// A child that was made and whose program may not run yet.
class ExecLaunch {
 public:
  // Errors: "launch_failed" with step "pipe", "mmap" or "clone".
  static Result<ExecLaunch> Start(ExecPlan plan);

  // One that another program began in this process before it executed this one:
  // what that had as pid(), status_fd() and setup().
  static ExecLaunch Resume(pid_t pid, UniqueFd status,
                           const protocol::Setup& setup);

  ExecLaunch(ExecLaunch&&) noexcept;
  ExecLaunch& operator=(ExecLaunch&&) noexcept;
  // The memory that the child still uses is kept until its status pipe has
  // answered; destroying a launch before that blocks until it has.
  ~ExecLaunch();
  // Gives the memory up instead: for a process that is about to exit and must
  // not wait for a child that hangs in a filesystem.
  void Abandon();

  pid_t pid() const;
  // Invalid where the system has no pidfd. May be taken.
  UniqueFd& pidfd();
  // Readable once the program runs or a step failed. Non-blocking.
  int status_fd() const { return status().get(); }
  const UniqueFd& status() const;
  // What an error of ReadStatus tells of.
  protocol::Setup setup() const;

  // Call when status_fd() is readable: true when the program runs, false when
  // it is too early to tell; an Error "launch_failed" names the step (the
  // child exits and must still be reaped).
  Result<bool> ReadStatus();

 private:
  struct State;
  explicit ExecLaunch(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace forkserver
