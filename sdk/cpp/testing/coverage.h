// What a program that is compiled with --coverage, or Clang's
// -fprofile-instr-generate, writes when it ends: a worker ends in another way.
#pragma once

namespace forkserver {

// Nothing happens in other programs.
void WriteCoverage();

}  // namespace forkserver
