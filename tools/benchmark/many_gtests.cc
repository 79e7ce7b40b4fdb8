// The same with GoogleTest.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tools/benchmark/many_tests.h"

namespace {

using forkserver::benchmark::kManyTests;

// Before main, as it is in programs with tables of their own.
const unsigned kSetUp = forkserver::benchmark::SetUpSlowly();

class Case : public testing::Test {
 public:
  void TestBody() override {
    const std::vector<int> numbers = {1, 2, 3};
    EXPECT_NE(kSetUp, 0u);
    EXPECT_EQ(numbers.size(), 3u);
  }
};

// TEST, as often as the program has tests.
int RegisterAll() {
  for (int i = 0; i < kManyTests; ++i) {
    testing::RegisterTest("Many", ("Case" + std::to_string(i)).c_str(), nullptr,
                          nullptr, __FILE__, 1000 + i, [] { return new Case; });
  }
  return kManyTests;
}

const int kRegistered = RegisterAll();

}  // namespace
