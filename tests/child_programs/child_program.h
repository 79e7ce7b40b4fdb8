// Where the programs of this folder are, in a test that has them in `data`.
#pragma once

#include <unistd.h>

#include <string>

namespace forkserver::testing {

// The absolute path of a program. Call before the test changes its working
// directory, which Bazel makes the root of its runfiles.
inline std::string ChildProgram(const std::string& name) {
  char cwd[4096];
  if (::getcwd(cwd, sizeof(cwd)) == nullptr) return {};
  return std::string(cwd) + "/tests/child_programs/" + name;
}

}  // namespace forkserver::testing
