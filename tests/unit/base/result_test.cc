#include <doctest/doctest.h>
#include <forkserver/error.h>
#include <forkserver/result.h>

#include <cerrno>
#include <csignal>
#include <memory>
#include <string>
#include <utility>

#include "tests/unit/run_in_child.h"

namespace forkserver {
namespace {

using testing::RunInChild;

Result<int> Half(int number) {
  if (number % 2 != 0) return MakeError("odd", "it is odd", "give an even one");
  return number / 2;
}

Result<void> CheckEven(int number) {
  if (auto half = Half(number); !half) return half.error();
  return {};
}

TEST_CASE("a result holds a value or an error") {
  const Result<int> good = Half(4);
  REQUIRE(good);
  CHECK(good.has_value());
  CHECK(*good == 2);
  CHECK(good.value() == 2);

  const Result<int> bad = Half(3);
  CHECK_FALSE(bad);
  CHECK_FALSE(bad.has_value());
  CHECK(bad.error().code == "odd");
  CHECK(bad.error().message == "it is odd");
  CHECK(bad.error().hint == "give an even one");
  CHECK(bad.error().error_number == 0);
}

TEST_CASE("a result without a value holds success or an error") {
  CHECK(CheckEven(2));
  const Result<void> bad = CheckEven(1);
  REQUIRE_FALSE(bad);
  CHECK(bad.error().code == "odd");
}

TEST_CASE("a result hands a move-only value out") {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(7));
  REQUIRE(result);
  const std::unique_ptr<int> taken = *std::move(result);
  CHECK(*taken == 7);
}

TEST_CASE("a result of an error type's look-alike is still a value") {
  Result<std::string> result(std::string("text"));
  REQUIRE(result);
  CHECK(result->size() == 4);
  result->append("!");
  CHECK(*result == "text!");
}

TEST_CASE("reading the value of a failed result aborts") {
  const auto outcome = RunInChild([](int) { return *Half(3); });
  CHECK(outcome.code() == -SIGABRT);
}

TEST_CASE("reading the error of a good result aborts") {
  CHECK(RunInChild([](int) {
          return static_cast<int>(Half(4).error().code.size());
        }).code() == -SIGABRT);
  CHECK(RunInChild([](int) {
          return static_cast<int>(CheckEven(2).error().code.size());
        }).code() == -SIGABRT);
}

TEST_CASE("the error of a system call says which one and why") {
  const Error error = SystemError("open(/nowhere)", ENOENT);
  CHECK(error.code == error_code::kSystem);
  CHECK(error.message == "open(/nowhere): No such file or directory");
  CHECK(error.error_number == ENOENT);
  CHECK(error.step.empty());
  CHECK(error.hint.empty());
}

TEST_CASE("the error of a system call is that of its argument, not of errno") {
  errno = EPERM;
  CHECK(SystemError("close(3)", EIO).message == "close(3): Input/output error");
}

TEST_CASE("an error is printed on one line with all that it knows") {
  Error error;
  error.code = "launch_failed";
  CHECK(error.ToString() == "launch_failed [launch_failed]");
  error.message = "it failed";
  CHECK(error.ToString() == "it failed [launch_failed]");
  error.step = "execve";
  CHECK(error.ToString() == "it failed [launch_failed, step execve]");
  error.error_number = ENOENT;
  error.hint = "try another";
  CHECK(error.ToString() ==
        "it failed [launch_failed, step execve, errno 2 No such file or "
        "directory] try another");
}

}  // namespace
}  // namespace forkserver
