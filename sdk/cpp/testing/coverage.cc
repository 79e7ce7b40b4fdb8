#include "sdk/cpp/testing/coverage.h"

// Of the compilers' libraries, if the program has them.
extern "C" {
// NOLINTBEGIN(bugprone-reserved-identifier, cert-dcl37-c, cert-dcl51-cpp)
[[gnu::weak]] void __gcov_exit();
[[gnu::weak]] int __llvm_profile_write_file();
// NOLINTEND(bugprone-reserved-identifier, cert-dcl37-c, cert-dcl51-cpp)
}

namespace forkserver {

void WriteCoverage() {
  if (__gcov_exit != nullptr) __gcov_exit();
  if (__llvm_profile_write_file != nullptr) __llvm_profile_write_file();
}

}  // namespace forkserver
