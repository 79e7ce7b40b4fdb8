// 5,000 small cases of doctest behind a set-up of 200 ms.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tools/benchmark/many_tests.h"

namespace {

using forkserver::benchmark::kManyTests;

// Before main, as it is in programs with tables of their own.
const unsigned kSetUp = forkserver::benchmark::SetUpSlowly();

void Case() {
  const std::vector<int> numbers = {1, 2, 3};
  CHECK(kSetUp != 0);
  CHECK(numbers.size() == 3);
}

// TEST_CASE, as often as the program has tests.
int RegisterAll() {
  static std::vector<std::string> names;
  names.reserve(kManyTests);
  for (int i = 0; i < kManyTests; ++i) {
    names.push_back("case " + std::to_string(i));
    doctest::detail::regTest(
        doctest::detail::TestCase(
            &Case, __FILE__, static_cast<unsigned>(1000 + i),
            doctest_detail_test_suite_ns::getCurrentTestSuite()) *
        names.back().c_str());
  }
  return kManyTests;
}

const int kRegistered = RegisterAll();

}  // namespace
