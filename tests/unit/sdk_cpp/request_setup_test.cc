#include "sdk/cpp/request_setup.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "tests/unit/sdk_cpp/scoped_test_state.h"

namespace forkserver {
namespace {

using test::TemporaryFolder;

TEST_CASE("what is not given is the caller's own") {
  const test::ScopedEnvironment environment{{"FS_TEST_MARK", "here"}};
  const mode_t before = ::umask(0031);
  auto prepared = PrepareSetup({}, {"x"});
  ::umask(before);
  REQUIRE(prepared);
  CHECK(prepared->setup.umask == 0031);
  CHECK(prepared->setup.cwd.front() == '/');
  bool found = false;
  for (const std::string& each : prepared->setup.env) {
    found = found || each == "FS_TEST_MARK=here";
  }
  CHECK(found);
#ifdef __linux__
  CHECK(prepared->setup.limits.empty());
#endif
}

TEST_CASE("streams that are not named are the caller's, or none") {
  ProcessOptions options;
  options.fds = {{1, 2}, {9, 2}};
  auto prepared = PrepareSetup(options, {"x"});
  REQUIRE(prepared);
  for (const auto& [child_fd, index] : prepared->setup.fds) {
    const int expected =
        child_fd == 1 || child_fd == 9 ? 2 : static_cast<int>(child_fd);
    CHECK(prepared->fds[static_cast<std::size_t>(index)] == expected);
  }
  options.null_streams = true;
  prepared = PrepareSetup(options, {"x"});
  REQUIRE(prepared);
  CHECK(prepared->fds == std::vector<int>{2, 2});
}

TEST_CASE("more words than a request can carry are refused") {
  const auto many = PrepareSetup({}, std::vector<std::string>(65'537, "x"));
  REQUIRE_FALSE(many);
  CHECK(many.error().message == "argv has 65537 words, the limit is 65536");
}

TEST_CASE("a NUL byte is refused, and where it is named") {
  auto argument = PrepareSetup({}, {"x", std::string("a\0b", 3)});
  REQUIRE(!argument);
  CHECK(argument.error().code == error_code::kBadRequest);
  CHECK(argument.error().message == "argv[1] holds a NUL byte");
  ProcessOptions options;
  options.env = {{"A=1", std::string("NAME=v\0w", 8)}};
  auto variable = PrepareSetup(options, {"x"});
  REQUIRE(!variable);
  CHECK(variable.error().message == "env[1] (NAME) holds a NUL byte");
}

TEST_CASE("a limit that does not exist is refused with those that do") {
  ProcessOptions options;
  options.limits = {{"nofiles", {1, 1}}};
  auto prepared = PrepareSetup(options, {"x"});
  REQUIRE(!prepared);
  CHECK(prepared.error().message.find("'nofiles'") != std::string::npos);
  CHECK(prepared.error().hint.find("nofile") != std::string::npos);
}

TEST_CASE("a crash report is asked for only where it is wanted") {
  WorkerOptions options;
  CHECK(!PreparePolicy(options).value().crash_report);
  options.crash_report = true;
  CHECK(PreparePolicy(options).value().crash_report);
}

TEST_CASE("negative durations are refused") {
  WorkerOptions options;
  options.grace = std::chrono::milliseconds(-1);
  CHECK(PreparePolicy(options).error().code == error_code::kBadRequest);
}

TEST_CASE("the signal that asks a worker to stop is one that exists") {
  WorkerOptions options;
  CHECK(PreparePolicy(options).value().stop_signal == SIGTERM);
  options.stop_signal = SIGINT;
  CHECK(PreparePolicy(options).value().stop_signal == SIGINT);
  for (const int none : {0, -1, NSIG}) {
    options.stop_signal = none;
    auto refused = PreparePolicy(options);
    REQUIRE(!refused);
    CHECK(refused.error().code == error_code::kBadRequest);
    CHECK(refused.error().message.find("stop_signal") != std::string::npos);
  }
}

TEST_CASE("the fingerprint of a program changes when it is rebuilt") {
  const TemporaryFolder folder;
  protocol::Setup setup;
  setup.argv = {"tool"};
  setup.env = {"PATH=/nowhere:" + folder.path()};
  CHECK(FingerprintProgram(setup).empty());
  test::WriteFile(folder / "tool", "one", /*executable=*/true);
  const std::string first = FingerprintProgram(setup);
  CHECK(first.find((folder / "tool") + ":") == 0);
  CHECK(FingerprintProgram(setup) == first);
  test::WriteFile(folder / "tool", "other", /*executable=*/true);
  CHECK(FingerprintProgram(setup) != first);
  // A relative path is one of the new process's folder.
  setup.cwd = folder.path();
  setup.argv = {"./tool"};
  CHECK(FingerprintProgram(setup).find(folder / "./tool:") == 0);
}

}  // namespace
}  // namespace forkserver
