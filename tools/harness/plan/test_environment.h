// The environment of the tests: that of this process, without what tells a
// test program how to run as a whole. Reads `environ`.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace forkserver::harness {

// Complete, "NAME=value". Left out are the variables of Bazel's and
// GoogleTest's protocols for sharding, filters and reports, which are for
// whoever runs all tests, and the variables that the harness itself sets.
std::vector<std::string> MakeTestEnvironment();

// The variables of this process.
std::map<std::string, std::string> OwnVariables();

}  // namespace forkserver::harness
