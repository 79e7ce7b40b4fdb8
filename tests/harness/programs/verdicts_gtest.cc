// The same as verdicts_doctest.
#include <gtest/gtest.h>

#include <cstdlib>

TEST(Shop, Good) { EXPECT_EQ(1, 1); }

TEST(Shop, Red) { EXPECT_EQ(1, 2); }

TEST(Shop, Crashes) { std::abort(); }

TEST(Shop, DISABLED_LeftOut) { EXPECT_EQ(1, 2); }
