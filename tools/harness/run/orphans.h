// Processes that a test left behind, outside of its process group: orphans go
// to forkserverd, which is their subreaper. Linux; elsewhere none is found.
//
// Reads /proc. Does not block but for the moment in which a process executes
// a program: at most 100 ms each.
#pragma once

#include <sys/types.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "sdk/base/unique_fd.h"

namespace forkserver::harness {

struct Orphan {
  pid_t pid = 0;
  std::string command;  // "sleep 100"
  UniqueFd process;     // OpenProcess
};

class OrphanSearch {
 public:
  explicit OrphanSearch(pid_t daemon);

  // Orphans that have `attempt_id` as FORKSERVER_TEST_ATTEMPT in their
  // environment, or a page of that name mapped, and what descends from them.
  // Those of `group` are left out: the daemon has killed and reported them.
  // Cheap while the daemon has no child that it did not have before.
  std::vector<Orphan> Find(const std::string& attempt_id,
                           const std::string& page_name, pid_t group);

 private:
  std::set<pid_t> ListChildren() const;
  std::set<pid_t> ReadChildren() const;

  pid_t daemon_;
  UniqueFd children_;  // the daemon's, in /proc
  // What they are known by; nobody's are empty. Those that are gone are
  // forgotten.
  struct Child {
    std::string attempt_id;
    std::string page_name;
  };
  std::map<pid_t, Child> known_;
};

}  // namespace forkserver::harness
