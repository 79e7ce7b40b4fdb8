// Programs that the benchmark runs by their command lines: to their ends, or
// asked again and again.
#pragma once

#include <forkserver/result.h>
#include <sys/types.h>

#include <cstddef>
#include <string>
#include <vector>

#include "sdk/base/unique_fd.h"

namespace forkserver::benchmark {

struct Command {
  std::vector<std::string> argv;  // the first is looked for in $PATH
  // NAME=value, over the benchmark's own environment.
  std::vector<std::string> environment = {};
  std::string folder = {};  // its working directory; empty: the benchmark's
};

// From its launch until it has been reaped. Blocking. Standard input is
// /dev/null; what it prints goes into the file `output`, which is replaced.
// Fails unless it exits with 0, with what it has printed.
Result<void> RunToEnd(const Command& command, const std::string& output);

// A helper program that answers on its standard streams: a byte or a record
// is written to it, and one is read back. Killed when destroyed.
class Helper {
 public:
  static Result<Helper> Start(const Command& command);
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
