// Looks at other processes in short-lived children of the daemon: reading a
// process can take long (ten thousand threads, a file system that does not
// answer), and the daemon must not wait.
//
// Passive; never blocks. A child that takes longer than kPatienceSeconds is
// ended by its own alarm.
#pragma once

#include <forkserver/result.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/process/poll_set.h"
#include "sdk/protocol/upgrade_messages.h"
#include "server/handed_fds.h"
#include "server/launch/launch_event.h"
#include "server/launch/reaper.h"

namespace forkserver::server {

class Examiner {
 public:
  static constexpr unsigned kPatienceSeconds = 10;

  // Both borrowed.
  Examiner(PollSet& poll_set, Reaper& reaper);

  // Runs in the child, which has one thread, no descriptor of the daemon's but
  // its streams and `keep_fd`, and no signal handler. What it returns is sent
  // back, by `pipe`.
  using Work = std::function<std::string(int pipe)>;
  // What it is for: one of the first two, which is not 0, or neither: a program
  // that might replace this one is tried.
  struct Purpose {
    ProcessKey audited = 0;  // the zygote
    ProcessKey stacks = 0;   // the worker
  };
  // The caller has proved that this process has one thread.
  Result<void> Start(const Work& work, Purpose purpose, int keep_fd = -1);

  // Ends the program that is being tried, with what it started.
  void EndTrial();

  bool Knows(ProcessKey key) const { return running_.count(key) != 0; }
  void OnReadable(ProcessKey key);
  // The child has been reaped. What came back: nothing if it died.
  struct Outcome {
    Purpose purpose;
    std::string bytes;
  };
  Outcome OnEnded(ProcessKey key);

  // For a program that replaces this one, in the same process. The children
  // are the reaper's to hand over.
  std::vector<protocol::HandedExamination> WriteDown(HandedFds& fds) const;
  void Resume(std::vector<protocol::HandedExamination> handed);

 private:
  struct Running {
    UniqueFd pipe;
    std::string bytes;
    Purpose purpose;
  };
  void ReadAll(Running& running);

  PollSet& poll_set_;
  Reaper& reaper_;
  std::map<ProcessKey, Running> running_;
  ProcessKey next_key_;
};

}  // namespace forkserver::server
