// Notices when a file that a run was begun with is not the same any more.
#pragma once

#include <forkserver/result.h>

#include <string>
#include <utility>
#include <vector>

#include "tools/harness/targets/file_identity.h"

namespace forkserver::harness {

class ProgramGuard {
 public:
  ProgramGuard() = default;
  static Result<ProgramGuard> Begin(const std::vector<std::string>& paths);
  // From now on these too.
  Result<void> Add(const std::vector<std::string>& paths);

  // "/path/to/program was replaced during the run", or empty. As soon as one
  // is not the same it never is again. One system call for each file.
  std::string DescribeChange();

 private:
  std::vector<std::pair<std::string, FileIdentity>> files_;
  std::string change_;
};

}  // namespace forkserver::harness
