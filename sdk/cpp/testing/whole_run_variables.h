// The environment variables that tell a test program how to run as a whole:
// those of Bazel's and GoogleTest's protocols for filters, shards and reports.
// A test that is run alone must not heed them.
//
// For what runs in a test program, too: nothing but the standard library.
#pragma once

#include <string_view>

namespace forkserver {

// `variable` is a name, or NAME=value. Every GTEST_ variable but those that
// say how a test behaves (GTEST_DEATH_TEST_STYLE) or is printed.
bool IsForWholeRun(std::string_view variable);

}  // namespace forkserver
