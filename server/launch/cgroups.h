// The cgroups (version 2) of workers: for limits of memory, tasks and CPU time,
// and to end a worker with all that it started, wherever that went.
//
// Only where the cgroup in which forkserverd was started is its own (delegated:
// it may write to it, and nobody else is in it), as systemd's Delegate=yes
// makes it. There forkserverd moves into a folder below at once, while it is
// alone: a cgroup that gives limits to those below may have no processes
// itself. Elsewhere why_not() says why there are none.
//
//     FOLDER                     as it was found
//     ├─ forkserverd.PID         forkserverd, and all that asks for nothing
//     └─ worker.PID.KEY          one for each worker that has a cgroup
//
// Passive; files of the kernel are read and written, which does not block.
// Linux; elsewhere there is never one.
#pragma once

#include <forkserver/result.h>
#include <forkserver/types.h>
#include <sys/types.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/protocol/upgrade_messages.h"
#include "server/launch/launch_event.h"

namespace forkserver::server {

class Cgroups {
 public:
  // Call before this process has children. Removes what earlier daemons left
  // there.
  static Cgroups Claim();
  // Of the program that this one replaces, in the same process.
  static Cgroups Resume(protocol::HandedCgroups handed);
  protocol::HandedCgroups WriteDown() const;

  Cgroups(Cgroups&& other) noexcept;
  Cgroups& operator=(Cgroups&&) = delete;
  // Leaves the folder as it was found, as far as nobody is left in it.
  ~Cgroups();

  bool available() const { return why_not_.empty(); }
  const std::string& why_not() const { return why_not_; }
  // Of "memory", "pids" and "cpu", those that it can limit.
  const std::vector<std::string>& controllers() const { return controllers_; }
  // Its cgroup.subtree_control, or empty. Where those below have limits no
  // process can be put into the cgroup itself: when this one is gone they are
  // to be taken, or systemd could not start another one there.
  std::string ControlFile() const;
  static void TakeLimits(const std::string& control_file);

  // A cgroup with these limits. Returns its cgroup.procs: who writes "0" to it
  // is in it. Errors "unsupported", which says what is missing, and
  // "launch_failed".
  Result<UniqueFd> Make(ProcessKey key, const CgroupLimits& limits);
  // Who is in it.
  std::vector<pid_t> Members(ProcessKey key) const;
  // Kills all who are in it. False: nobody is. True: look again.
  bool Kill(ProcessKey key) const;
  // How many processes in it the kernel killed since its memory was used up.
  std::int64_t CountOomKills(ProcessKey key) const;
  // At once, or when nobody is in it any more.
  void Remove(ProcessKey key);

 private:
  Cgroups() = default;
  std::string PathOf(ProcessKey key) const;
  Result<void> Limit(const std::string& folder, const char* key,
                     const char* controller, const char* file,
                     const std::string& value);
  void RemoveLeft();

  std::string folder_;  // as it was found; empty: there is none
  std::string why_not_ = "this system has no cgroups";
  std::vector<std::string> controllers_;
  std::set<std::string> enabled_;
  std::vector<std::string> left_;  // to be removed
};

}  // namespace forkserver::server
