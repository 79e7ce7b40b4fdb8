// Tests of which one is good, and the others on purpose are not.
#include <doctest/doctest.h>

#include <cstdlib>

TEST_CASE("good") { CHECK(1 == 1); }

TEST_CASE("red") { CHECK(1 == 2); }

TEST_CASE("crashes") { std::abort(); }

TEST_CASE("left out" * doctest::skip()) { CHECK(1 == 2); }
