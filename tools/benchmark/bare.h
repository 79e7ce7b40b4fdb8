// The bare ways of running a process, which forkserverd is compared with.
// Blocking: each returns when the process has been reaped.
#pragma once

#include <forkserver/result.h>

#include <string>

#include "sdk/base/unique_fd.h"

namespace forkserver::benchmark {

// A program without arguments of the caller's environment and working
// directory, its streams on /dev/null.
class BareProgram {
 public:
  static Result<BareProgram> Create(std::string path);

  Result<void> SpawnAndWait();  // posix_spawn(3), waitpid(2)
  Result<void> VforkAndWait();  // vfork(2), execve(2), waitpid(2)

 private:
  BareProgram(std::string path, UniqueFd null_fd);
  std::string path_;
  UniqueFd null_fd_;
};

}  // namespace forkserver::benchmark
