// The bare ways of running a process, which forkserverd is compared with.
// Blocking: each returns when the process has been reaped.
#pragma once

#include <forkserver/result.h>
#include <sys/types.h>

#include <string>
#include <vector>

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

// A helper program that answers on its standard streams: a byte or a record
// is written to it, and one is read back. Killed when destroyed.
class Helper {
 public:
  static Result<Helper> Start(const std::vector<std::string>& argv);
  Helper(Helper&& other) noexcept;
  Helper& operator=(Helper&&) = delete;
  ~Helper();

  Result<void> Ask(const void* question, std::size_t question_bytes,
                   void* answer, std::size_t answer_bytes);

 private:
  Helper(pid_t pid, UniqueFd to, UniqueFd from, std::string name);
  pid_t pid_ = 0;
  UniqueFd to_;
  UniqueFd from_;
  std::string name_;
};

}  // namespace forkserver::benchmark
