// Tests of every kind, in GoogleTest: held against its own verdicts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

namespace testing::internal {
// As GoogleTest's own, which no header has.
class TestResultAccessor {
 public:
  static void ClearTestPartResults(TestResult* result) {
    result->ClearTestPartResults();
  }
};
}  // namespace testing::internal

#ifdef WARM
#include <forkserver/testing.h>

static std::vector<std::string> warmed;
FORKSERVER_TEST_WARM_UP("first") { warmed.emplace_back("first"); }
FORKSERVER_TEST_WARM_UP("second") { warmed.emplace_back("second"); }

TEST(WarmUps, RanOnceInOrder) {
  EXPECT_EQ(warmed, (std::vector<std::string>{"first", "second"}));
}
#endif

TEST(Plain, Passes) { EXPECT_EQ(1 + 1, 2); }
TEST(Plain, PassesToo) { SUCCEED(); }
TEST(Plain, Fails) { EXPECT_EQ(1, 2) << "and says why"; }
TEST(Plain, FailsTwice) {
  SCOPED_TRACE("some context");
  EXPECT_EQ(1, 2);
  EXPECT_TRUE(false);
}
TEST(Plain, FailsFatally) {
  ASSERT_EQ(1, 2);
  FAIL() << "not reached";
}
TEST(Plain, Throws) { throw std::runtime_error("out of luck"); }
TEST(Plain, ThrowsAnInt) { throw 7; }
TEST(Plain, Skips) { GTEST_SKIP() << "no such device"; }
TEST(Plain, SkipsWithoutAWord) { GTEST_SKIP(); }
TEST(Plain, FailsAndSkips) {
  EXPECT_EQ(1, 2);
  GTEST_SKIP() << "after a failure";
}
TEST(Plain, TakesItsFailureBack) {
  ADD_FAILURE() << "never mind";
  testing::internal::TestResultAccessor::ClearTestPartResults(
      const_cast<testing::TestResult*>(
          testing::UnitTest::GetInstance()->current_test_info()->result()));
}
TEST(Plain, NoAssertion) {}
TEST(Plain, DISABLED_Fails) { FAIL(); }
TEST(DISABLED_Suite, Fails) { FAIL(); }
TEST(Plain, Prefix) { SUCCEED(); }
TEST(Plain, PrefixOfAnother) { FAIL() << "it is not its prefix"; }
TEST(Plain, Prints) {
  std::printf("to standard output\n");
  std::fprintf(stderr, "to standard error\n");
  RecordProperty("key", "value");
}
TEST(Plain, ForksAndTheChildReturns) {
  const pid_t pid = ::fork();
  if (pid == 0) return;
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
}

class Fixture : public testing::Test {
 protected:
  static void SetUpTestSuite() { shared = 5; }
  static void TearDownTestSuite() { shared = 0; }
  void SetUp() override { value_ = 3; }
  static int shared;
  int value_ = 0;
};
int Fixture::shared = 0;
TEST_F(Fixture, IsSetUp) { EXPECT_EQ(value_ + shared, 8); }
TEST_F(Fixture, Fails) { EXPECT_EQ(shared, 6); }

class SkippingSetUp : public testing::Test {
 protected:
  void SetUp() override { GTEST_SKIP() << "in SetUp"; }
};
TEST_F(SkippingSetUp, IsSkipped) { FAIL(); }

class FailingSetUp : public testing::Test {
 protected:
  void SetUp() override { FAIL() << "in SetUp"; }
};
TEST_F(FailingSetUp, Fails) {}

class Numbers : public testing::TestWithParam<int> {};
TEST_P(Numbers, AreEven) { EXPECT_EQ(GetParam() % 2, 0); }
INSTANTIATE_TEST_SUITE_P(Some, Numbers, testing::Values(2, 3, 4));
INSTANTIATE_TEST_SUITE_P(Named, Numbers, testing::Values(6, 7),
                         [](const testing::TestParamInfo<int>& number) {
                           return "Number" + std::to_string(number.param);
                         });
using Pair = std::tuple<std::string, bool>;
class Pairs : public testing::TestWithParam<Pair> {};
TEST_P(Pairs, AreTrue) { EXPECT_TRUE(std::get<1>(GetParam())); }
INSTANTIATE_TEST_SUITE_P(, Pairs,
                         testing::Combine(testing::Values("a/b", "c*d:e"),
                                          testing::Bool()));

template <typename T>
class Typed : public testing::Test {};
using Types = testing::Types<char, int, std::string>;
TYPED_TEST_SUITE(Typed, Types);
TYPED_TEST(Typed, IsSmall) { EXPECT_LT(sizeof(TypeParam), 8u); }

template <typename T>
class TypedLater : public testing::Test {};
TYPED_TEST_SUITE_P(TypedLater);
TYPED_TEST_P(TypedLater, IsDefault) { EXPECT_EQ(TypeParam(), TypeParam()); }
REGISTER_TYPED_TEST_SUITE_P(TypedLater, IsDefault);
INSTANTIATE_TYPED_TEST_SUITE_P(My, TypedLater, Types);

class DynamicTest : public testing::Test {
 public:
  explicit DynamicTest(bool passes) : passes_(passes) {}
  void TestBody() override { EXPECT_TRUE(passes_); }

 private:
  bool passes_;
};
static const bool dynamic_registered = [] {
  const auto add = [](const char* name, bool passes) {
    testing::RegisterTest(
        "Dynamic", name, nullptr, nullptr, __FILE__, __LINE__,
        [passes]() -> testing::Test* { return new DynamicTest(passes); });
  };
  add("with blanks, *, ? and : and - and \xc3\xa4", true);
  add("with blanks, *, ? and : and - and \xc3\xb6", false);
  return true;
}();

struct Speaker {
  virtual ~Speaker() = default;
  virtual int Speak() = 0;
};
struct MockSpeaker : Speaker {
  MOCK_METHOD(int, Speak, (), (override));
};
TEST(Mocks, AreCalled) {
  MockSpeaker speaker;
  EXPECT_CALL(speaker, Speak).WillOnce(testing::Return(1));
  EXPECT_EQ(speaker.Speak(), 1);
}
TEST(Mocks, AreNotCalled) {
  MockSpeaker speaker;
  EXPECT_CALL(speaker, Speak).Times(1);
}

[[noreturn]] static void Die() {
  std::fprintf(stderr, "last words\n");
  std::abort();
}
TEST(PlainDeathTest, DiesFast) {
  GTEST_FLAG_SET(death_test_style, "fast");
  EXPECT_DEATH(Die(), "last words");
}
TEST(PlainDeathTest, DiesThreadsafe) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
#ifdef WARM
  EXPECT_DEATH(
      {
        if (warmed.size() != 2) std::exit(0);
        Die();
      },
      "last words");
#else
  EXPECT_DEATH(Die(), "last words");
#endif
}
TEST(PlainDeathTest, DoesNotDie) {
  EXPECT_DEATH({ std::printf("alive\n"); }, "last words");
}
TEST(PlainDeathTest, ExitsThreadsafe) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(std::exit(3), testing::ExitedWithCode(3), "");
}

class Surroundings : public testing::Environment {
 public:
  static int set_up;
  void SetUp() override { ++set_up; }
  void TearDown() override { --set_up; }
};
int Surroundings::set_up = 0;
static testing::Environment* const surroundings =
    testing::AddGlobalTestEnvironment(new Surroundings);
TEST(Environments, AreSetUp) { EXPECT_EQ(Surroundings::set_up, 1); }

#ifdef CRASHES
// A run by hand ends with the first of them.
TEST(Crashes, BadAddress) {
  EXPECT_EQ(1, 2);
  volatile int* nowhere = nullptr;
  *nowhere = 1;
}
TEST(Crashes, Abort) { std::abort(); }
TEST(Crashes, ExitWithZero) { std::exit(0); }
TEST(Crashes, UnderscoreExitWithZero) { ::_exit(0); }
TEST(Crashes, Kill) { ::kill(::getpid(), SIGKILL); }

class FailingSuite : public testing::Test {
 protected:
  static void SetUpTestSuite() { FAIL() << "in SetUpTestSuite"; }
};
TEST_F(FailingSuite, DoesNotRun) {}

class FailingTearDown : public testing::Test {
 protected:
  static void TearDownTestSuite() { FAIL() << "in TearDownTestSuite"; }
};
TEST_F(FailingTearDown, First) {}

class CrashingTearDown : public testing::Test {
 protected:
  static void TearDownTestSuite() { ::_exit(0); }
};
TEST_F(CrashingTearDown, First) {}
#endif
