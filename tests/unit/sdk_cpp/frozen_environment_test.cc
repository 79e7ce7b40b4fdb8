#include "sdk/cpp/frozen_environment.h"

#include <doctest/doctest.h>

using forkserver::FrozenEnvironment;

TEST_CASE("only frozen variables are compared") {
  const FrozenEnvironment frozen({"HOME=/a", "LD_PRELOAD=x", "LC_ALL=C"},
                                 {"LD_*", "LC_ALL"});
  CHECK(frozen.DescribeDifference({"LC_ALL=C", "LD_PRELOAD=x", "HOME=/b"}) ==
        "");
  CHECK(frozen.DescribeDifference(
            {"LC_ALL=C", "LD_PRELOAD=x", "LC_ALLOWED=1", "PATH=/"}) == "");
}

TEST_CASE("changed, added and removed variables are named") {
  const FrozenEnvironment frozen({"LD_A=1", "LD_B=2", "LD_C=3"}, {"LD_*"});
  CHECK(frozen.DescribeDifference({"LD_D=4", "LD_A=1", "LD_B=3"}) ==
        "LD_B (changed), LD_C (removed), LD_D (added)");
  CHECK(frozen.DescribeDifference({}) ==
        "LD_A (removed), LD_B (removed), LD_C (removed)");
}

TEST_CASE("of a variable that is there twice the first counts") {
  const FrozenEnvironment frozen({"LD_A=1", "LD_A=2"}, {"LD_*"});
  CHECK(frozen.DescribeDifference({"LD_A=1"}) == "");
  CHECK(frozen.DescribeDifference({"LD_A=2", "LD_A=1"}) == "LD_A (changed)");
}

TEST_CASE("a star is a wildcard at the end of a pattern only") {
  const FrozenEnvironment frozen({}, {"A*B", "C"});
  CHECK(frozen.DescribeDifference({"AxB=1", "CC=1"}) == "");
  CHECK(frozen.DescribeDifference({"A*B=1", "C=1"}) ==
        "A*B (added), C (added)");
}

TEST_CASE("a variable without '=' is not compared") {
  const FrozenEnvironment frozen({"LD_A"}, {"*"});
  CHECK(frozen.DescribeDifference({"LD_B"}) == "");
}
