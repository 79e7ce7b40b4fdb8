#ifndef TESTS_SKIP_H_
#define TESTS_SKIP_H_

// Skipping a doctest test case at run time. doctest itself knows only skips
// that are decided when the test is compiled.

#include <doctest/doctest.h>

#include <cstdio>

// Leaves the current test case, from its own body (not from a function that it
// calls), before it has checked anything. tools/test counts the case as
// skipped and prints the reason, a `const char*`. A reason says what is lacking
// and starts with "kernel: " or "os: " where the machine cannot be given it;
// any other skip fails a CI run.
//
//   TEST_CASE("the daemon kills a worker's cgroup") {
//     if (!HasCgroupKill()) FORKSERVER_SKIP("kernel: no cgroup.kill");
#define FORKSERVER_SKIP(reason)                                             \
  do {                                                                      \
    std::printf("\nSKIPPED: %s: %s\n",                                      \
                doctest::getContextOptions()->currentTest->m_name, reason); \
    std::fflush(stdout);                                                    \
    return;                                                                 \
  } while (false)

#endif  // TESTS_SKIP_H_
