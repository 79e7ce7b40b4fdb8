// Which tests failed when they were run last, for `--rerun failed`: a file
// of ids, each ended by a NUL byte. Passive; blocks for its files.
#pragma once

#include <forkserver/result.h>

#include <set>
#include <string>

namespace forkserver::harness {

class LastRun {
 public:
  // Empty if there is no such file.
  static Result<LastRun> Read(const std::string& path);
  // Replaces the file at once.
  Result<void> Write(const std::string& path) const;

  bool HasFailed(const std::string& id) const { return failed_.count(id) != 0; }
  std::size_t failures() const { return failed_.size(); }
  // A test that is run on its own does not change what is known of others.
  void Note(const std::string& id, bool failed);

 private:
  std::set<std::string> failed_;
};

}  // namespace forkserver::harness
