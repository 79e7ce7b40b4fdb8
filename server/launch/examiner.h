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

#include "sdk/base/unique_fd.h"
#include "sdk/process/poll_set.h"
#include "server/launch/launch_event.h"
#include "server/launch/reaper.h"

namespace forkserver::server {

class Examiner {
 public:
  static constexpr unsigned kPatienceSeconds = 10;

  // Both borrowed.
  Examiner(PollSet& poll_set, Reaper& reaper);

  // Runs in the child, which has one thread, no descriptor of the daemon's and
  // no signal handler. What it returns is sent back.
  using Work = std::function<std::string()>;
  // Makes the event of what came back: nothing if the child died. Called from
  // OnEnded.
  using Finish = std::function<LaunchEvent(std::string bytes)>;
  // The caller has proved that this process has one thread.
  Result<void> Start(const Work& work, Finish finish);

  bool Knows(ProcessKey key) const { return running_.count(key) != 0; }
  void OnReadable(ProcessKey key);
  // The child has been reaped.
  LaunchEvent OnEnded(ProcessKey key);

 private:
  struct Running {
    UniqueFd pipe;
    std::string bytes;
    Finish finish;
  };
  void ReadAll(Running& running);

  PollSet& poll_set_;
  Reaper& reaper_;
  std::map<ProcessKey, Running> running_;
  ProcessKey next_key_;
};

}  // namespace forkserver::server
