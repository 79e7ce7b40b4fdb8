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

// A program of this name in $PATH; empty: there is none.
std::string FindInPath(const std::string& name);

// A helper program that answers on a pair of its descriptors: a byte or a
// record is written to it, and one is read back. Killed when destroyed.
class Helper {
 public:
  static constexpr int kStandardStreams[] = {0, 1};

  // It reads from the first of `ends` and writes to the second. Standard
  // streams that are none of these are the benchmark's own.
  static Result<Helper> Start(const Command& command,
                              const int (&ends)[2] = kStandardStreams);
  Helper(Helper&& other) noexcept;
  Helper& operator=(Helper&&) = delete;
  ~Helper();

  // Either may be empty.
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
