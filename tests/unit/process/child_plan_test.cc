// PrepareChildPlan: what is refused, and what a good request becomes.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "sdk/process/child_setup.h"
#include "sdk/process/platform.h"
#include "tests/unit/leftovers.h"

namespace forkserver {
namespace {

using protocol::Setup;
using testing::NoLeftovers;

constexpr int kNullFd = 900;  // never used, only planned

Setup GoodSetup() {
  Setup setup;
  setup.argv = {"/bin/true"};
  setup.env = {"A=1"};
  setup.cwd = "/";
  return setup;
}

std::vector<UniqueFd> OpenFds(int count) {
  std::vector<UniqueFd> fds;
  for (int i = 0; i < count; ++i) {
    fds.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  }
  return fds;
}

Result<ChildPlan> Prepare(const Setup& setup, int fd_count = 0,
                          const ResourceLimits& base = {}) {
  return PrepareChildPlan(setup, OpenFds(fd_count), kNullFd, base);
}

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

void CheckRefused(const Setup& setup, int fd_count, const char* code,
                  const std::string& says) {
  const auto plan = Prepare(setup, fd_count);
  REQUIRE_FALSE(plan);
  CAPTURE(plan.error().message);
  CHECK(plan.error().code == code);
  CHECK(Contains(plan.error().message, says));
}

TEST_CASE(
    "a NUL byte in argv, in the environment or in the working directory "
    "is refused") {
  const std::string with_nul("a\0b", 3);
  Setup setup = GoodSetup();
  setup.argv.push_back(with_nul);
  CheckRefused(setup, 0, error_code::kBadRequest, "'setup.argv'");
  setup = GoodSetup();
  setup.env.push_back(with_nul);
  CheckRefused(setup, 0, error_code::kBadRequest, "'setup.env'");
  setup = GoodSetup();
  setup.cwd += with_nul;
  CheckRefused(setup, 0, error_code::kBadRequest, "'setup.cwd'");
}

TEST_CASE("a working directory that is empty or relative is refused") {
  for (const char* cwd : {"", "tmp", "./tmp", "../tmp"}) {
    Setup setup = GoodSetup();
    setup.cwd = cwd;
    CheckRefused(setup, 0, error_code::kBadRequest, "'setup.cwd'");
  }
}

TEST_CASE("a umask beyond 0777 is refused") {
  for (const std::int64_t umask : {std::int64_t{-1}, std::int64_t{01000},
                                   std::numeric_limits<std::int64_t>::max()}) {
    Setup setup = GoodSetup();
    setup.umask = umask;
    CheckRefused(setup, 0, error_code::kBadRequest, "'setup.umask'");
  }
  Setup setup = GoodSetup();
  setup.umask = 0777;
  const auto plan = Prepare(setup);
  REQUIRE(plan);
  CHECK(plan->umask == 0777);
}

TEST_CASE("a niceness beyond -20..19 is refused") {
  for (const int nice : {-21, 20}) {
    Setup setup = GoodSetup();
    setup.nice = nice;
    CheckRefused(setup, 0, error_code::kBadRequest, "'setup.nice'");
  }
  Setup setup = GoodSetup();
  CHECK_FALSE(Prepare(setup)->nice.has_value());
  setup.nice = 0;
  CHECK(Prepare(setup)->nice == 0);
}

#ifdef __linux__

TEST_CASE("CPUs, I/O priority and OOM score out of range are refused") {
  for (const int cpu : {-1, 8192}) {
    Setup setup = GoodSetup();
    setup.cpus = {0, cpu};
    CheckRefused(setup, 0, error_code::kBadRequest, "'setup.cpus'");
  }
  for (const int level : {-1, 8}) {
    Setup setup = GoodSetup();
    setup.io_priority = IoPriority{IoClass::kBestEffort, level};
    CheckRefused(setup, 0, error_code::kBadRequest,
                 "'setup.io_priority.level'");
  }
  for (const int score : {-1001, 1001}) {
    Setup setup = GoodSetup();
    setup.oom_score_adj = score;
    CheckRefused(setup, 0, error_code::kBadRequest, "'setup.oom_score_adj'");
  }
}

TEST_CASE("CPUs become a mask, and nothing is planned that nobody asked for") {
  Setup setup = GoodSetup();
  auto plan = Prepare(setup);
  REQUIRE(plan);
  CHECK(plan->cpus.empty());
  CHECK_FALSE(plan->io_priority);
  CHECK_FALSE(plan->oom_score_adj);
  CHECK_FALSE(plan->no_new_privs);
  setup.cpus = {1, 64, 8191};
  setup.no_new_privs = true;
  plan = Prepare(setup);
  REQUIRE(plan);
  CHECK(plan->no_new_privs);
  std::vector<int> set;
  const int bits = static_cast<int>(sizeof(plan->cpus[0])) * 8;
  for (std::size_t word = 0; word < plan->cpus.size(); ++word) {
    for (int bit = 0; bit < bits; ++bit) {
      if ((plan->cpus[word] >> bit & 1) != 0) {
        set.push_back(static_cast<int>(word) * bits + bit);
      }
    }
  }
  CHECK(set == std::vector<int>{1, 64, 8191});
}

#else

TEST_CASE("what only Linux has is unsupported") {
  Setup setup = GoodSetup();
  setup.no_new_privs = true;
  CheckRefused(setup, 0, error_code::kUnsupported, "'setup.no_new_privs'");
  setup = GoodSetup();
  setup.cpus = {0};
  CheckRefused(setup, 0, error_code::kUnsupported, "'setup.cpus'");
  setup = GoodSetup();
  setup.oom_score_adj = 1;
  CheckRefused(setup, 0, error_code::kUnsupported, "'setup.oom_score_adj'");
  setup = GoodSetup();
  setup.io_priority = IoPriority{};
  CheckRefused(setup, 0, error_code::kUnsupported, "'setup.io_priority'");
}

#endif

TEST_CASE("a descriptor index that did not come is refused") {
  for (const std::int64_t index : {-1, 1, 253}) {
    Setup setup = GoodSetup();
    setup.fds = {{0, index}};
    CheckRefused(setup, 1, error_code::kBadDescriptor,
                 "index " + std::to_string(index));
    setup = GoodSetup();
    setup.result = index;
    CheckRefused(setup, 1, error_code::kBadDescriptor,
                 "index " + std::to_string(index));
  }
}

TEST_CASE("a descriptor that came and is not named is refused") {
  Setup setup = GoodSetup();
  setup.fds = {{0, 0}, {1, 2}};
  CheckRefused(setup, 3, error_code::kBadDescriptor, "descriptor 1 was sent");
  setup.result = 1;
  CHECK(Prepare(setup, 3));
}

TEST_CASE("a descriptor of the child that is out of range is refused") {
  for (const std::int64_t child_fd :
       {std::int64_t{-1}, std::int64_t{65536},
        std::numeric_limits<std::int64_t>::max()}) {
    Setup setup = GoodSetup();
    setup.fds = {{child_fd, 0}};
    CheckRefused(setup, 1, error_code::kBadDescriptor,
                 std::to_string(child_fd));
  }
}

TEST_CASE("a descriptor of the child that is named twice is refused") {
  Setup setup = GoodSetup();
  setup.fds = {{7, 0}, {1, 0}, {7, 1}};
  CheckRefused(setup, 2, error_code::kBadDescriptor, "descriptor 7");
}

TEST_CASE("a limit that does not exist is refused with those that do") {
  Setup setup = GoodSetup();
  setup.limits["files"] = {1, 2};
  CheckRefused(setup, 0, error_code::kBadRequest, "'files'");
  CheckRefused(setup, 0, error_code::kBadRequest, " nofile");
  const auto plan = Prepare(GoodSetup(), 0, {{"files", {1, 2}}});
  REQUIRE_FALSE(plan);
  CHECK(plan.error().code == error_code::kBadRequest);
}

TEST_CASE("a soft limit above the hard one is refused") {
  Setup setup = GoodSetup();
  setup.limits["nofile"] = {11, 10};
  CheckRefused(setup, 0, error_code::kBadRequest, "'nofile'");
  setup.limits["nofile"] = {-1, 10};
  CheckRefused(setup, 0, error_code::kBadRequest, "'nofile'");
  setup.limits["nofile"] = {10, -1};
  CHECK(Prepare(setup));
}

TEST_CASE("streams that are not named become the null device") {
  const NoLeftovers no_leftovers;
  const std::vector<UniqueFd> received = OpenFds(2);
  Setup setup = GoodSetup();
  setup.fds = {{9, 1}, {1, 0}};
  const auto plan = PrepareChildPlan(setup, received, kNullFd, {});
  REQUIRE(plan);
  REQUIRE(plan->fds.size() == 4);
  const FdMove expected[] = {{0, kNullFd},
                             {1, received[0].get()},
                             {2, kNullFd},
                             {9, received[1].get()}};
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(plan->fds[i].target == expected[i].target);
    CHECK(plan->fds[i].source == expected[i].source);
  }
  CHECK(plan->extra_fd == -1);
  CHECK(plan->status_fd == -1);
}

TEST_CASE("the descriptor of the result is kept aside, and may be placed too") {
  const std::vector<UniqueFd> received = OpenFds(1);
  Setup setup = GoodSetup();
  setup.result = 0;
  auto plan = PrepareChildPlan(setup, received, kNullFd, {});
  REQUIRE(plan);
  CHECK(plan->extra_fd == received[0].get());
  CHECK(plan->fds.size() == 3);
  setup.fds = {{5, 0}};
  plan = PrepareChildPlan(setup, received, kNullFd, {});
  REQUIRE(plan);
  CHECK(plan->extra_fd == received[0].get());
  CHECK(plan->fds.size() == 4);
}

TEST_CASE("a limit of the request comes instead of the client's own") {
  Setup setup = GoodSetup();
  setup.limits["core"] = {0, 5};
  const auto plan = Prepare(setup, 0, {{"core", {1, 1}}, {"nofile", {64, -1}}});
  REQUIRE(plan);
  REQUIRE(plan->limits.size() == 2);
  for (const LimitStep& step : plan->limits) {
    if (step.resource == RLIMIT_CORE) {
      CHECK(step.value.rlim_cur == 0);
      CHECK(step.value.rlim_max == 5);
    } else {
      CHECK(step.resource == RLIMIT_NOFILE);
      CHECK(step.value.rlim_cur == 64);
      CHECK(step.value.rlim_max == RLIM_INFINITY);
    }
  }
}

TEST_CASE("a failure is described with its step, its argument and its errno") {
  Setup setup = GoodSetup();
  setup.cwd = "/nowhere";
  setup.nice = -5;
  struct Case {
    SetupFailure failure;
    const char* step;
    const char* message;
    bool hint;
  };
  const Case cases[] = {
      {{SetupStep::kGroup, EPERM, 0}, "setpgid", "setpgid(): ", false},
      {{SetupStep::kDescriptors, EBADF, 70}, "dup2", "dup2(to 70): ", true},
      {{SetupStep::kClose, EIO, 0}, "close_range", "close_range(): ", false},
      {{SetupStep::kNice, EACCES, 0},
       "setpriority",
       "setpriority(-5): ",
       false},
      {{SetupStep::kLimits, EPERM, RLIMIT_NOFILE},
       "setrlimit",
       "setrlimit(nofile): ",
       true},
      {{SetupStep::kChdir, ENOENT, 0}, "chdir", "chdir(/nowhere): ", false},
      {{SetupStep::kExec, ENOENT, 0}, "execve", "execve(/bin/true): ", true},
      {{SetupStep::kExec, EACCES, 0}, "execve", "execve(/bin/true): ", true},
      {{SetupStep::kExec, ENOEXEC, 0}, "execve", "execve(/bin/true): ", true},
      {{SetupStep::kExec, E2BIG, 0}, "execve", "execve(/bin/true): ", true},
  };
  for (const Case& each : cases) {
    const Error error = DescribeFailure(each.failure, setup);
    CAPTURE(error.message);
    CHECK(error.code == error_code::kLaunchFailed);
    CHECK(error.step == each.step);
    CHECK(error.error_number == each.failure.error_number);
    CHECK(error.message.find(each.message) == 0);
    CHECK(error.hint.empty() != each.hint);
  }
}

TEST_CASE("every step of a launch has the name of its call") {
  CHECK(NameOf(SetupStep::kNone).empty());
  CHECK(NameOf(SetupStep::kParentDeath) == "prctl");
  CHECK(NameOf(SetupStep::kUmask) == "umask");
  CHECK(NameOf(SetupStep::kSignals) == "sigaction");
}

}  // namespace
}  // namespace forkserver
