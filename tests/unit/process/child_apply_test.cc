// ApplyChildPlan, in forked children that say afterwards what they have.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "sdk/process/child_setup.h"
#include "sdk/process/platform.h"
#include "sdk/process/pseudo_terminal.h"
#include "tests/unit/leftovers.h"
#include "tests/unit/run_in_child.h"

namespace forkserver {
namespace {

using testing::ChildOutcome;
using testing::NoLeftovers;
using testing::RunInChild;
using testing::WriteText;

// Where a child keeps the pipe to its test before and while the plan runs.
constexpr int kOutput = 500;
constexpr int kHighest = 600;

// Opens a file with `name` in it as descriptor `number`.
void Place(int number, const std::string& name) {
  char path[] = "/tmp/fs-unit-XXXXXX";
  const int fd = ::mkostemp(path, O_CLOEXEC);
  ::unlink(path);
  WriteText(fd, name);
  if (fd == number) return;
  ::dup2(fd, number);
  ::fcntl(number, F_SETFD, FD_CLOEXEC);
  ::close(fd);
}

// What is at `number`: the name of a placed file, "null", "pipe", or "".
// A "*" follows if it would be closed by exec.
std::string Look(int number) {
  const int flags = ::fcntl(number, F_GETFD);
  if (flags < 0) return {};
  std::string found;
  struct stat info = {};
  ::fstat(number, &info);
  if (S_ISCHR(info.st_mode)) {
    found = "null";
  } else if (S_ISFIFO(info.st_mode)) {
    found = "pipe";
  } else {
    char name[64];
    const ssize_t size = ::pread(number, name, sizeof(name), 0);
    if (size > 0) found.assign(name, static_cast<std::size_t>(size));
  }
  return found + ((flags & FD_CLOEXEC) != 0 ? "*" : "");
}

// "0=a 1=b 7=pipe*": all that is open.
std::string LookAtAll() {
  std::string text;
  for (int fd = 0; fd <= kHighest + 200; ++fd) {
    const std::string found = Look(fd);
    if (found.empty()) continue;
    if (!text.empty()) text += ' ';
    text += std::to_string(fd) + '=' + found;
  }
  return text;
}

ChildPlan EmptyPlan() {
  ChildPlan plan;
  plan.cwd = "/";
  return plan;
}

struct Scene {
  std::map<int, std::string> open;  // besides the pipe to the test
  std::vector<FdMove> moves;
  int extra_fd = -1;
  bool use_close_range = true;
  // The status pipe is here before the plan runs.
  int status_fd = kOutput;
};

// What is open in a child in which the plan of `scene` was applied.
std::string PlayScene(const Scene& scene) {
  const ChildOutcome outcome = RunInChild([&scene](int output) {
    ::dup2(output, kOutput);
    CloseDescriptorsFrom(0, {kOutput});
    for (const auto& [number, name] : scene.open) Place(number, name);
    if (scene.status_fd != kOutput) {
      ::dup2(kOutput, scene.status_fd);
      ::close(kOutput);
    }
    ::fcntl(scene.status_fd, F_SETFD, FD_CLOEXEC);
    ChildPlan plan = EmptyPlan();
    plan.fds = scene.moves;
    plan.status_fd = scene.status_fd;
    plan.extra_fd = scene.extra_fd;
    plan.use_close_range = scene.use_close_range;
    const SetupFailure failure = ApplyChildPlan(plan);
    if (failure.step != SetupStep::kNone) return failure.error_number;
    std::string seen = LookAtAll();
    if (plan.extra_fd >= 0) {
      seen += " extra=" + std::to_string(plan.extra_fd);
    }
    seen += " status=" + std::to_string(plan.status_fd);
    WriteText(plan.status_fd, seen);
    return 0;
  });
  CHECK(outcome.code() == 0);
  return outcome.output;
}

// With close_range(2) and without it.
void CheckScene(Scene scene, const std::string& expected) {
  const NoLeftovers no_leftovers;
  for (const bool use_close_range : {true, false}) {
    CAPTURE(use_close_range);
    scene.use_close_range = use_close_range;
    CHECK(PlayScene(scene) == expected);
  }
}

TEST_CASE("descriptors 3 and 4 can be swapped") {
  CheckScene({{{0, "a"}, {1, "b"}, {2, "c"}, {3, "three"}, {4, "four"}},
              {{0, 0}, {1, 1}, {2, 2}, {3, 4}, {4, 3}}},
             "0=a 1=b 2=c 3=four 4=three 500=pipe* status=500");
}

TEST_CASE("the standard streams can be turned in a circle") {
  CheckScene({{{0, "a"}, {1, "b"}, {2, "c"}}, {{0, 1}, {1, 2}, {2, 0}}},
             "0=b 1=c 2=a 500=pipe* status=500");
}

TEST_CASE("a source may be above or below its target") {
  CheckScene({{{3, "low"}, {40, "high"}}, {{0, 40}, {1, 40}, {2, 3}, {9, 3}}},
             "0=high 1=high 2=low 9=low 500=pipe* status=500");
}

TEST_CASE("one source may have many targets") {
  CheckScene({{{1, "x"}}, {{0, 1}, {1, 1}, {2, 1}, {3, 1}, {4, 1}}},
             "0=x 1=x 2=x 3=x 4=x 500=pipe* status=500");
}

TEST_CASE("a descriptor that stays where it is survives exec") {
  CheckScene({{{0, "a"}, {1, "b"}, {2, "c"}, {7, "x"}},
              {{0, 0}, {1, 1}, {2, 2}, {7, 7}}},
             "0=a 1=b 2=c 7=x 500=pipe* status=500");
}

TEST_CASE("everything else is closed, in the gaps and above") {
  CheckScene({{{0, "a"},
               {1, "b"},
               {2, "c"},
               {3, "d"},
               {4, "e"},
               {5, "f"},
               {6, "g"},
               {20, "h"},
               {21, "i"},
               {499, "j"},
               {501, "k"},
               {600, "l"}},
              {{0, 0}, {1, 1}, {2, 2}, {5, 3}, {20, 6}}},
             "0=a 1=b 2=c 5=d 20=g 500=pipe* status=500");
}

TEST_CASE("the status pipe is moved out of the way of a target") {
  Scene scene = {{{0, "a"}, {1, "b"}, {2, "c"}, {3, "d"}},
                 {{0, 0}, {1, 1}, {2, 2}, {9, 3}}};
  scene.status_fd = 9;
  CheckScene(scene, "0=a 1=b 2=c 9=d 10=pipe* status=10");
  scene.status_fd = 4;
  CheckScene(scene, "0=a 1=b 2=c 9=d 10=pipe* status=10");
}

TEST_CASE(
    "the status pipe and the extra descriptor are kept above all "
    "targets") {
  Scene scene = {{{0, "a"}, {1, "b"}, {2, "c"}, {3, "result"}},
                 {{0, 0}, {1, 1}, {2, 2}, {4, 0}}};
  scene.extra_fd = 3;
  scene.status_fd = 4;
  CheckScene(scene, "0=a 1=b 2=c 4=a 5=pipe* 6=result* extra=6 status=5");
  // The extra one below the status pipe, and above it.
  scene.status_fd = kOutput;
  CheckScene(scene, "0=a 1=b 2=c 4=a 5=result* 500=pipe* extra=5 status=500");
  scene.extra_fd = 550;
  scene.open[550] = "result";
  CheckScene(scene,
             "0=a 1=b 2=c 4=a 500=pipe* 550=result* extra=550 status=500");
}

TEST_CASE("the extra descriptor may be placed as well") {
  Scene scene = {{{0, "a"}, {1, "b"}, {2, "c"}, {3, "result"}},
                 {{0, 0}, {1, 1}, {2, 2}, {3, 3}}};
  scene.extra_fd = 3;
  CheckScene(scene,
             "0=a 1=b 2=c 3=result 4=result* 500=pipe* extra=4 status=500");
}

TEST_CASE("200 random placements come out as they were asked for") {
  const NoLeftovers no_leftovers;
  std::mt19937_64 random(20261121);
  const auto below = [&random](int limit) {
    return static_cast<int>(random() % static_cast<unsigned>(limit));
  };
  for (int round = 0; round < 200; ++round) {
    CAPTURE(round);
    Scene scene;
    while (scene.open.size() < 6) {
      const int number = below(16);
      scene.open[number] = "f" + std::to_string(number);
    }
    std::vector<int> sources;
    for (const auto& [number, name] : scene.open) sources.push_back(number);
    std::set<int> targets = {0, 1, 2};
    while (targets.size() < 7) targets.insert(below(20));
    std::string expected;
    for (const int target : targets) {
      const int source = sources[static_cast<std::size_t>(
          below(static_cast<int>(sources.size())))];
      scene.moves.push_back({target, source});
      expected += std::to_string(target) + "=" + scene.open[source] + " ";
    }
    scene.use_close_range = round % 2 == 0;
    CHECK(PlayScene(scene) == expected + "500=pipe* status=500");
  }
}

TEST_CASE("a request's descriptors arrive where its setup says") {
  const NoLeftovers no_leftovers;
  const ChildOutcome outcome = RunInChild([](int output) {
    ::dup2(output, kOutput);
    CloseDescriptorsFrom(0, {kOutput});
    ::fcntl(kOutput, F_SETFD, FD_CLOEXEC);
    Place(0, "first");
    Place(1, "second");
    Place(2, "third");
    Place(3, "never");
    std::vector<UniqueFd> received;
    for (int fd = 0; fd < 3; ++fd) received.emplace_back(fd);
    const int null_fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    protocol::Setup setup;
    setup.cwd = "/";
    setup.fds = {{2, 0}, {0, 1}, {30, 0}};
    setup.result = 2;
    auto plan = PrepareChildPlan(setup, received, null_fd, {});
    if (!plan) return 1;
    plan->status_fd = kOutput;
    if (ApplyChildPlan(*plan).step != SetupStep::kNone) return 2;
    WriteText(plan->status_fd, LookAtAll());
    return 0;
  });
  CHECK(outcome.code() == 0);
  CHECK(outcome.output ==
        "0=second 1=null 2=first 30=first 31=third* 500=pipe*");
}

// Applies `plan` in a child; the failure, as it wrote it.
SetupFailure ApplyAndFail(ChildPlan plan,
                          const std::function<void()>& before = {}) {
  const ChildOutcome outcome = RunInChild([&](int output) {
    if (plan.fds.empty()) plan.fds = {{0, 0}, {1, 1}, {2, 2}};
    plan.status_fd = output;
    if (before) before();
    const SetupFailure failure = ApplyChildPlan(plan);
    WriteText(
        plan.status_fd,
        std::string(reinterpret_cast<const char*>(&failure), sizeof(failure)));
    return 0;
  });
  CHECK(outcome.code() == 0);
  REQUIRE(outcome.output.size() == sizeof(SetupFailure));
  SetupFailure failure;
  outcome.output.copy(reinterpret_cast<char*>(&failure), sizeof(failure));
  return failure;
}

TEST_CASE("a working directory that is not there fails as chdir") {
  const NoLeftovers no_leftovers;
  ChildPlan plan = EmptyPlan();
  plan.cwd = "/nowhere/at/all";
  SetupFailure failure = ApplyAndFail(plan);
  CHECK(failure.step == SetupStep::kChdir);
  CHECK(failure.error_number == ENOENT);
  plan.cwd = "/dev/null";
  failure = ApplyAndFail(plan);
  CHECK(failure.step == SetupStep::kChdir);
  CHECK(failure.error_number == ENOTDIR);
}

TEST_CASE("a limit that cannot be set fails as setrlimit and is named") {
  const NoLeftovers no_leftovers;
  ChildPlan plan = EmptyPlan();
  // Above what the kernel allows for anybody (fs.nr_open).
  plan.limits.push_back({RLIMIT_CORE, {0, 0}});
  plan.limits.push_back({RLIMIT_NOFILE, {1u << 31, 1u << 31}});
  const SetupFailure failure = ApplyAndFail(plan);
  CHECK(failure.step == SetupStep::kLimits);
  CHECK(failure.error_number == EPERM);
  CHECK(failure.detail == RLIMIT_NOFILE);
}

TEST_CASE("a descriptor that is not open fails as dup2 and is named") {
  const NoLeftovers no_leftovers;
  ChildPlan plan = EmptyPlan();
  plan.fds = {{0, 0}, {1, 1}, {2, 2}, {300, 299}};
  SetupFailure failure = ApplyAndFail(plan, [] { ::close(299); });
  CHECK(failure.step == SetupStep::kDescriptors);
  CHECK(failure.error_number == EBADF);
  CHECK(failure.detail == 300);
  plan.fds = {{0, 0}, {1, 1}, {2, 2}, {5, 5}};
  failure = ApplyAndFail(plan, [] { ::close(5); });
  CHECK(failure.step == SetupStep::kDescriptors);
  CHECK(failure.detail == 5);
}

TEST_CASE("a target above the limit of descriptors fails as dup2") {
  const NoLeftovers no_leftovers;
  ChildPlan plan = EmptyPlan();
  plan.fds = {{0, 0}, {1, 1}, {2, 2}, {400, 0}};
  const SetupFailure failure = ApplyAndFail(plan, [] {
    const struct rlimit limit = {200, 200};
    ::setrlimit(RLIMIT_NOFILE, &limit);
  });
  CHECK(failure.step == SetupStep::kDescriptors);
  CHECK(failure.error_number == EINVAL);
}

TEST_CASE("a session leader cannot make a session, and setpgid names it") {
  const NoLeftovers no_leftovers;
  ChildPlan plan = EmptyPlan();
  plan.group = GroupKind::kSession;
  SetupFailure failure = ApplyAndFail(plan, [] { ::setsid(); });
  CHECK(failure.step == SetupStep::kGroup);
  CHECK(failure.error_number == EPERM);
  plan.group = GroupKind::kProcessGroup;
  failure = ApplyAndFail(plan, [] { ::setsid(); });
  CHECK(failure.step == SetupStep::kGroup);
}

std::string ApplyAndDescribe(ChildPlan plan) {
  const pid_t tests_session = ::getsid(0);
  const ChildOutcome outcome = RunInChild([&](int output) {
    plan.fds = {{0, 0}, {1, 1}, {2, 2}};
    plan.status_fd = output;
    if (ApplyChildPlan(plan).step != SetupStep::kNone) return 1;
    const mode_t mask = ::umask(0);
    char text[256];
    char cwd[128] = "?";
    if (::getcwd(cwd, sizeof(cwd)) == nullptr) return 2;
    struct rlimit limit = {};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    std::snprintf(text, sizeof(text),
                  "group %d session %d same-session %d umask %03o nice %d cwd "
                  "%s nofile %lld",
                  ::getpgid(0) == ::getpid(), ::getsid(0) == ::getpid(),
                  ::getsid(0) == tests_session, static_cast<unsigned>(mask),
                  ::getpriority(PRIO_PROCESS, 0), cwd,
                  static_cast<long long>(limit.rlim_cur));
    WriteText(plan.status_fd, text);
    return 0;
  });
  CHECK(outcome.code() == 0);
  return outcome.output;
}

TEST_CASE("group, umask, niceness, limits and working directory are applied") {
  const NoLeftovers no_leftovers;
  ChildPlan plan = EmptyPlan();
  plan.umask = 0137;
  // Only root may go down from where the test runs.
  plan.nice = std::min(::getpriority(PRIO_PROCESS, 0) + 3, 19);
  const std::string nice = std::to_string(*plan.nice);
  plan.cwd = "/usr";
  plan.limits.push_back({RLIMIT_NOFILE, {99, 100}});
  CHECK(ApplyAndDescribe(plan) ==
        "group 1 session 0 same-session 1 umask 137 nice " + nice +
            " cwd /usr nofile 99");
  plan.group = GroupKind::kSession;
  CHECK(ApplyAndDescribe(plan) ==
        "group 1 session 1 same-session 0 umask 137 nice " + nice +
            " cwd /usr nofile 99");
}

TEST_CASE("descriptor 0 becomes the terminal of the session") {
  const NoLeftovers no_leftovers;
  auto terminal = PseudoTerminal::Make({24, 80, 0, 0});
  REQUIRE(terminal);
  const int worker_side = terminal->worker_side.get();
  const ChildOutcome outcome = RunInChild([&](int output) {
    ChildPlan plan;
    plan.group = GroupKind::kTerminal;
    plan.cwd = "/";
    plan.fds = {{0, worker_side}, {1, worker_side}, {2, worker_side}};
    plan.status_fd = output;
    if (ApplyChildPlan(plan).step != SetupStep::kNone) return 1;
    const UniqueFd own(::open("/dev/tty", O_RDWR));
    return own && ::tcgetpgrp(own.get()) == ::getpid() ? 0 : 2;
  });
  CHECK(outcome.code() == 0);
}

TEST_CASE("a descriptor 0 that is no terminal is named") {
  const NoLeftovers no_leftovers;
  ChildPlan plan = EmptyPlan();
  plan.group = GroupKind::kTerminal;
  const SetupFailure failure = ApplyAndFail(plan, [] {
    const int null = ::open("/dev/null", O_RDWR);
    ::dup2(null, 0);
  });
  CHECK(failure.step == SetupStep::kTerminal);
  CHECK(failure.error_number == ENOTTY);
  const Error error = DescribeFailure(failure, protocol::Setup());
  CHECK(error.message == "ioctl(0, TIOCSCTTY): Inappropriate ioctl for device");
  CHECK(error.hint.find("must be a terminal") != std::string::npos);
}

TEST_CASE("a client's limit above what may be set is set as far as possible") {
  const NoLeftovers no_leftovers;
  struct rlimit own = {};
  ::getrlimit(RLIMIT_NOFILE, &own);
  ChildPlan plan = EmptyPlan();
  LimitStep step = {RLIMIT_NOFILE, {1u << 31, 1u << 31}};
  step.required = false;
  plan.limits.push_back(step);
  CHECK(ApplyAndDescribe(plan).find("nofile " + std::to_string(own.rlim_max)) !=
        std::string::npos);
}

TEST_CASE("without a niceness the parent's is kept") {
  const NoLeftovers no_leftovers;
  const std::string seen = ApplyAndDescribe(EmptyPlan());
  CHECK(seen.find("nice " + std::to_string(::getpriority(PRIO_PROCESS, 0)) +
                  " ") != std::string::npos);
}

TEST_CASE("the limit of descriptors may be below descriptors that are placed") {
  const NoLeftovers no_leftovers;
  const ChildOutcome outcome = RunInChild([](int output) {
    ::dup2(output, kOutput);
    CloseDescriptorsFrom(0, {kOutput});
    Place(0, "a");
    ChildPlan plan = EmptyPlan();
    plan.fds = {{0, 0}, {1, 0}, {2, 0}, {90, 0}};
    plan.status_fd = kOutput;
    plan.limits.push_back({RLIMIT_NOFILE, {10, 10}});
    if (ApplyChildPlan(plan).step != SetupStep::kNone) return 1;
    WriteText(plan.status_fd, Look(90));
    return 0;
  });
  CHECK(outcome.code() == 0);
  CHECK(outcome.output == "a");
}

}  // namespace
}  // namespace forkserver
