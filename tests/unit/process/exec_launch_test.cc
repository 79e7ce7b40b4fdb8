#include "sdk/process/exec_launch.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#ifdef __linux__
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sdk/base/unix_socket.h"
#include "sdk/process/launch_child.h"
#include "tests/child_programs/child_program.h"
#include "tests/skip.h"
#include "tests/unit/leftovers.h"
#include "tests/unit/process/launched_program.h"
#include "tests/unit/run_in_child.h"

namespace forkserver {
namespace {

using testing::AwaitStarted;
using testing::ChildProgram;
using testing::Ended;
using testing::LaunchAndReap;
using testing::NoLeftovers;
using testing::PlanFor;
using testing::PlanForSetup;
using testing::Reap;

constexpr LaunchMethod kMethods[] = {
    LaunchMethod::kBest, LaunchMethod::kSharedMemory, LaunchMethod::kFork};

// Calls `check` with each method, and once opens what launches keep open.
template <typename Check>
void ForEachMethod(const Check& check) {
  static_cast<void>(PlanFor({"/bin/true"}));
  const NoLeftovers no_leftovers;
  for (const LaunchMethod method : kMethods) {
    CAPTURE(static_cast<int>(method));
    check(method);
  }
}

// A folder of files that the test makes; gone at the end.
class Folder {
 public:
  Folder() { REQUIRE(::mkdtemp(path_.data()) != nullptr); }
  ~Folder() {
    for (const std::string& file : files_) ::unlink(file.c_str());
    CHECK(::rmdir(path_.c_str()) == 0);
  }
  const std::string& path() const { return path_; }
  std::string AddFile(const std::string& name, const std::string& text,
                      mode_t mode) {
    files_.push_back(path_ + "/" + name);
    std::ofstream(files_.back()) << text;
    REQUIRE(::chmod(files_.back().c_str(), mode) == 0);
    return files_.back();
  }
  std::string AddLink(const std::string& name, const std::string& target) {
    files_.push_back(path_ + "/" + name);
    REQUIRE(::symlink(target.c_str(), files_.back().c_str()) == 0);
    return files_.back();
  }

 private:
  std::string path_ = "/tmp/fs-unit-XXXXXX";
  std::vector<std::string> files_;
};

// The launch of `argv` fails at execve with `error_number`.
void CheckExecFails(LaunchMethod method, const ExecPlan& plan,
                    int error_number) {
  ExecPlan tried = plan;
  tried.method = method;
  const Ended ended = LaunchAndReap(std::move(tried));
  REQUIRE_FALSE(ended.started);
  const Error& error = ended.started.error();
  CAPTURE(error.message);
  CHECK(error.code == error_code::kLaunchFailed);
  CHECK(error.step == "execve");
  CHECK(error.error_number == error_number);
  CHECK_FALSE(error.hint.empty());
  CHECK(ended.code == 127);
}

TEST_CASE("a program runs and its exit code is its own") {
  ForEachMethod([](LaunchMethod method) {
    for (const int code : {0, 1, 42, 255}) {
      const Ended ended = LaunchAndReap(
          {ChildProgram("exit_with"), std::to_string(code)}, method);
      CHECK(ended.started);
      CHECK(ended.code == code);
    }
  });
}

TEST_CASE("a statically linked program runs") {
  ForEachMethod([](LaunchMethod method) {
    const Ended ended = LaunchAndReap({ChildProgram("tiny_exit")}, method);
    CHECK(ended.started);
    CHECK(ended.code == 0);
  });
}

TEST_CASE("a program gets exactly what its setup says") {
  ForEachMethod([](LaunchMethod method) {
    auto pipe = MakePipe();
    REQUIRE(pipe);
    std::vector<UniqueFd> received;
    received.push_back(std::move(pipe->write_end));
    protocol::Setup setup;
    setup.argv = {ChildProgram("print_process"), "", "two words"};
    setup.env = {"A=1", "EMPTY=", "B=caf\xe9"};
    setup.cwd = "/usr";
    setup.umask = 027;
    // Only root may go down from where the test runs.
    setup.nice = std::min(::getpriority(PRIO_PROCESS, 0) + 3, 19);
    setup.limits["nofile"] = {77, 88};
    setup.group = GroupKind::kSession;
    setup.fds = {{1, 0}};
    ExecPlan plan = PlanForSetup(setup, received);
    plan.method = method;
    const Ended ended = LaunchAndReap(std::move(plan));
    CHECK(ended.started);
    CHECK(ended.code == 0);
    received.clear();
    CHECK(testing::ReadAll(pipe->read_end.get()) ==
          "argv " + setup.argv[0] +
              "\nargv \nargv two words\nenv A=1\nenv EMPTY=\nenv B=caf\xe9\n"
              "cwd /usr\numask 027\nnice " +
              std::to_string(*setup.nice) +
              "\nnofile 77 88\ngroup 1 session 1\n");
  });
}

#ifdef __linux__
TEST_CASE("an OOM score is the program's and not the parent's") {
  const auto score = [](const char* file) {
    std::string text;
    std::ifstream(file) >> text;
    return text;
  };
  const std::string before = score("/proc/self/oom_score_adj");
  ForEachMethod([&](LaunchMethod method) {
    auto pipe = MakePipe();
    REQUIRE(pipe);
    ExecPlan plan = PlanFor({"/bin/cat", "/proc/self/oom_score_adj"},
                            pipe->write_end.get());
    plan.method = method;
    plan.child.oom_score_adj = 777;
    const Ended ended = LaunchAndReap(std::move(plan));
    CHECK(ended.started);
    CHECK(ended.code == 0);
    pipe->write_end.Reset();
    CHECK(testing::ReadAll(pipe->read_end.get()) == "777\n");
    CHECK(score("/proc/self/oom_score_adj") == before);
  });
}
#endif

TEST_CASE("a program has no descriptors but those that were placed") {
  ForEachMethod([](LaunchMethod method) {
    const UniqueFd inheritable(::open("/dev/null", O_RDONLY));
    const Ended ended = LaunchAndReap({ChildProgram("print_fds")}, method);
    CHECK(ended.started);
    CHECK(ended.output == "0 1 2");
  });
}

TEST_CASE("a table of many descriptors is shared until the child has its own") {
  ForEachMethod([](LaunchMethod method) {
    constexpr int kFrom = 256;
    const UniqueFd inheritable(::open("/dev/null", O_RDONLY));
    std::vector<UniqueFd> many;
    for (int i = 0; i < 300; ++i) {
      many.emplace_back(::fcntl(inheritable.get(), F_DUPFD, kFrom));
      REQUIRE(many.back().get() >= kFrom);
    }
    // Nothing is shared if the child needs one from there up.
    for (const bool needs_one : {false, true}) {
      CAPTURE(needs_one);
      auto pipe = MakePipe();
      REQUIRE(pipe);
      std::vector<UniqueFd> received;
      received.push_back(std::move(pipe->write_end));
      if (needs_one) MoveUp(received.back(), kFrom);
      protocol::Setup setup;
      setup.argv = {ChildProgram("print_fds")};
      setup.cwd = "/";
      setup.fds = {{1, 0}, {400, 0}};
      ExecPlan plan = PlanForSetup(setup, received);
      plan.method = method;
      plan.share_from = kFrom;
      const Ended ended = LaunchAndReap(std::move(plan));
      CHECK(ended.started);
      CHECK(ended.code == 0);
      received.clear();
      CHECK(testing::ReadAll(pipe->read_end.get()) == "0 1 2 400");
    }
    // The parent's own are what they were.
    for (const UniqueFd& fd : many) CHECK(::fcntl(fd.get(), F_GETFD) == 0);
    CHECK(::fcntl(inheritable.get(), F_GETFD) == 0);

    ExecPlan nowhere = PlanFor({"/nowhere/program"});
    nowhere.share_from = kFrom;
    CheckExecFails(method, nowhere, ENOENT);
  });
}

#ifdef __linux__
// As the filter of a container that allows neither of both.
bool ForbidTablesOfTheirOwn() {
  sock_filter filter[] = {
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
      {BPF_JMP | BPF_JEQ | BPF_K, 2, 0, SYS_close_range},
      {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, SYS_unshare},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM}};
  const sock_fprog program = {std::size(filter), filter};
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  return ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

TEST_CASE("a child that gets no table of its own leaves the parent's alone") {
  if (!SharedMemoryChildSupported()) {
    FORKSERVER_SKIP("os: no child shares its parent's memory here");
  }
  const auto outcome = testing::RunInChild([](int output) {
    if (!ForbidTablesOfTheirOwn()) return 1;
    ExecPlan plan = PlanFor({"/bin/true"});
    plan.method = LaunchMethod::kSharedMemory;
    plan.share_from = 256;
    const Ended ended = LaunchAndReap(std::move(plan));
    if (ended.started) return 2;
    testing::WriteText(output, ended.started.error().step);
    return ended.code == 127 ? 0 : 3;
  });
  CHECK(outcome.code() == 0);
  CHECK(outcome.output == "close_range");
}
#endif

TEST_CASE("a child that ends before it has a table of its own is not awaited") {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(0);
  const std::atomic<std::uint32_t> never = 0;
  AwaitUnshared(never, pid);
  CHECK(Reap(pid) == 0);
}

TEST_CASE("a program that is nowhere in the PATH is not found") {
  ForEachMethod([](LaunchMethod method) {
    CheckExecFails(method, PlanFor({"forkserver-no-such-program"}), ENOENT);
    CheckExecFails(method, PlanFor({"/nowhere/program"}), ENOENT);
  });
}

TEST_CASE("a file that is not executable is refused") {
  Folder folder;
  const std::string file = folder.AddFile("data", "text", 0644);
  ForEachMethod([&](LaunchMethod method) {
    CheckExecFails(method, PlanFor({file}), EACCES);
    CheckExecFails(method, PlanFor({folder.path()}), EACCES);
  });
}

TEST_CASE("a file that is no program is refused, and no shell tries it") {
  Folder folder;
  const std::string file = folder.AddFile("junk", "exit 0\n", 0755);
  ForEachMethod([&](LaunchMethod method) {
    CheckExecFails(method, PlanFor({file}), ENOEXEC);
  });
}

TEST_CASE("a script runs by its interpreter, and a missing one is not found") {
  Folder folder;
  const std::string good = folder.AddFile("good", "#!/bin/sh\nexit 9\n", 0755);
  const std::string bad = folder.AddFile("bad", "#!/nowhere/sh\n", 0755);
  ForEachMethod([&](LaunchMethod method) {
    const Ended ended = LaunchAndReap({good}, method);
    CHECK(ended.started);
    CHECK(ended.code == 9);
    CheckExecFails(method, PlanFor({bad}), ENOENT);
  });
}

TEST_CASE("arguments that are too large for the system are refused") {
  ForEachMethod([](LaunchMethod method) {
    ExecPlan plan = PlanFor({"/bin/true"});
    plan.env.emplace_back("BIG=" + std::string(4 << 20, 'x'));
    CheckExecFails(method, plan, E2BIG);
  });
}

TEST_CASE("a working directory that is missing fails as chdir") {
  ForEachMethod([](LaunchMethod method) {
    ExecPlan plan = PlanFor({"/bin/true"});
    plan.method = method;
    plan.child.cwd = "/nowhere";
    const Ended ended = LaunchAndReap(std::move(plan));
    REQUIRE_FALSE(ended.started);
    CHECK(ended.started.error().code == error_code::kLaunchFailed);
    CHECK(ended.started.error().step == "chdir");
    CHECK(ended.started.error().error_number == ENOENT);
    CHECK(ended.started.error().message.find("chdir(/nowhere)") == 0);
    CHECK(ended.code == 127);
  });
}

TEST_CASE("the child publishes its pid") {
  void* const shared =
      ::mmap(nullptr, sizeof(std::atomic<pid_t>), PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(shared != MAP_FAILED);
  auto* const published = new (shared) std::atomic<pid_t>(0);
  ForEachMethod([&](LaunchMethod method) {
    published->store(0);
    ExecPlan plan = PlanFor({"/bin/true"});
    plan.method = method;
    plan.publish_pid = published;
    auto launch = ExecLaunch::Start(std::move(plan));
    REQUIRE(launch);
    CHECK(AwaitStarted(*launch));
    CHECK(published->load() == launch->pid());
    Reap(launch->pid());
  });
  ::munmap(shared, sizeof(std::atomic<pid_t>));
}

#ifdef __linux__
TEST_CASE("a pidfd becomes readable when the program ends") {
  ForEachMethod([](LaunchMethod method) {
    auto pipe = MakePipe();
    REQUIRE(pipe);
    ExecPlan plan = PlanFor({"/bin/cat"});
    plan.method = method;
    plan.child.fds.at(0).source = pipe->read_end.get();
    auto launch = ExecLaunch::Start(std::move(plan));
    REQUIRE(launch);
    REQUIRE(AwaitStarted(*launch));
    const UniqueFd pidfd = std::move(launch->pidfd());
    REQUIRE(pidfd);
    CHECK((::fcntl(pidfd.get(), F_GETFD) & FD_CLOEXEC) != 0);
    pollfd waiting = {pidfd.get(), POLLIN, 0};
    CHECK(::poll(&waiting, 1, 0) == 0);
    pipe->write_end.Reset();  // the end of cat's input
    CHECK(::poll(&waiting, 1, 30'000) == 1);
    CHECK(Reap(launch->pid()) == 0);
  });
}
#endif

TEST_CASE("without a wish for a pidfd there is none") {
  ForEachMethod([](LaunchMethod method) {
    ExecPlan plan = PlanFor({"/bin/true"});
    plan.method = method;
    plan.want_pidfd = false;
    auto launch = ExecLaunch::Start(std::move(plan));
    REQUIRE(launch);
    CHECK_FALSE(launch->pidfd().valid());
    CHECK(AwaitStarted(*launch));
    CHECK(Reap(launch->pid()) == 0);
  });
}

void DoNothing(int) {}

// Ignores, handles and blocks signals; puts everything back.
class DirtySignals {
 public:
  DirtySignals() {
    struct sigaction ignore = {};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &ignore, &old_pipe_);
    ::sigaction(SIGTERM, &ignore, &old_term_);
    struct sigaction handle = {};
    handle.sa_handler = DoNothing;
    ::sigaction(SIGUSR1, &handle, &old_usr1_);
    sigset_t blocked;
    sigemptyset(&blocked);
    for (const int signal : {SIGHUP, SIGINT, SIGCHLD, SIGUSR2}) {
      sigaddset(&blocked, signal);
    }
    ::sigprocmask(SIG_BLOCK, &blocked, &old_mask_);
  }
  ~DirtySignals() {
    ::sigaction(SIGPIPE, &old_pipe_, nullptr);
    ::sigaction(SIGTERM, &old_term_, nullptr);
    ::sigaction(SIGUSR1, &old_usr1_, nullptr);
    ::sigprocmask(SIG_SETMASK, &old_mask_, nullptr);
  }

 private:
  struct sigaction old_pipe_ = {};
  struct sigaction old_term_ = {};
  struct sigaction old_usr1_ = {};
  sigset_t old_mask_ = {};
};

TEST_CASE(
    "a program begins with no signal blocked and none ignored, whatever "
    "its parent does") {
  ForEachMethod([](LaunchMethod method) {
    const DirtySignals dirty;
    const Ended ended = LaunchAndReap({ChildProgram("print_signals")}, method);
    CHECK(ended.started);
    CHECK(ended.output == "blocked: ignored:");
    // The parent is as it was.
    sigset_t mask;
    ::sigprocmask(SIG_SETMASK, nullptr, &mask);
    CHECK(sigismember(&mask, SIGHUP) == 1);
    CHECK(sigismember(&mask, SIGTERM) == 0);
    struct sigaction action = {};
    ::sigaction(SIGPIPE, nullptr, &action);
    CHECK((action.sa_handler == SIG_IGN));
    ::sigaction(SIGUSR1, nullptr, &action);
    CHECK((action.sa_handler == DoNothing));
  });
}

TEST_CASE("only the signals that the plan lists are reset") {
  ForEachMethod([](LaunchMethod method) {
    const DirtySignals dirty;
    auto pipe = MakePipe();
    REQUIRE(pipe);
    ExecPlan plan =
        PlanFor({ChildProgram("print_signals")}, pipe->write_end.get());
    plan.method = method;
    plan.signals_to_reset = {SIGPIPE};
    CHECK(LaunchAndReap(std::move(plan)).started);
    pipe->write_end.Reset();
    CHECK(testing::ReadAll(pipe->read_end.get()) ==
          "blocked: ignored: " + std::to_string(SIGTERM));
  });
}

TEST_CASE("a failing launch leaves the parent's errno and signals alone") {
  ForEachMethod([](LaunchMethod method) {
    ExecPlan plan = PlanFor({"/nowhere/program"});
    plan.method = method;
    auto launch = ExecLaunch::Start(std::move(plan));
    REQUIRE(launch);
    errno = ENOTTY;
    // The child runs, perhaps in this memory, while nothing is called here.
    for (;;) {
      siginfo_t info = {};
      if (::waitid(P_PID, static_cast<id_t>(launch->pid()), &info,
                   WEXITED | WNOWAIT | WNOHANG) == 0 &&
          info.si_pid != 0) {
        break;
      }
    }
    CHECK(errno == ENOTTY);
    CHECK_FALSE(AwaitStarted(*launch));
    CHECK(Reap(launch->pid()) == 127);
  });
}

TEST_CASE(
    "a launch that is destroyed early waits until its child has left "
    "its memory") {
  ForEachMethod([](LaunchMethod method) {
    for (int i = 0; i < 20; ++i) {
      ExecPlan plan = PlanFor({i % 2 == 0 ? "/bin/true" : "/nowhere/program"});
      plan.method = method;
      pid_t pid = 0;
      {
        auto launch = ExecLaunch::Start(std::move(plan));
        REQUIRE(launch);
        pid = launch->pid();
      }
      const int code = Reap(pid);
      if (i % 2 == 0) {
        CHECK(code == 0);
      } else if (method != LaunchMethod::kFork || code != -SIGPIPE) {
        // A forked child shares nothing, is not waited for, and may find
        // nobody to tell.
        CHECK(code == 127);
      }
    }
  });
}

#ifdef __linux__
TEST_CASE("a failed launch that is destroyed unread waits too") {
  if (!SharedMemoryChildSupported()) {
    FORKSERVER_SKIP("os: no child shares its parent's memory here");
  }
  // On one processor, where the child is nicer: writing its failure wakes
  // this process before the child has left.
  cpu_set_t before;
  CPU_ZERO(&before);
  REQUIRE(::sched_getaffinity(0, sizeof(before), &before) == 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &before)) {
      CPU_SET(cpu, &one);
      break;
    }
  }
  REQUIRE(::sched_setaffinity(0, sizeof(one), &one) == 0);
  {
    static_cast<void>(PlanFor({"/bin/true"}));
    const NoLeftovers no_leftovers;
    for (int i = 0; i < 50; ++i) {
      ExecPlan plan = PlanFor({"/bin/true"});
      plan.method = LaunchMethod::kSharedMemory;
      plan.child.nice = 19;
      plan.child.cwd = "/nowhere";
      pid_t pid = 0;
      {
        auto launch = ExecLaunch::Start(std::move(plan));
        REQUIRE(launch);
        pid = launch->pid();
        pollfd waiting = {launch->status_fd(), POLLIN, 0};
        REQUIRE(::poll(&waiting, 1, -1) == 1);
      }
      // A process that has given its memory up has no program file any more.
      char target[8];
      const std::string exe = "/proc/" + std::to_string(pid) + "/exe";
      CHECK(::readlink(exe.c_str(), target, sizeof(target)) < 0);
      CHECK(Reap(pid) == 127);
    }
  }
  ::sched_setaffinity(0, sizeof(before), &before);
}

// Virtual memory of this process.
long SizeKilobytes() {
  std::ifstream file("/proc/self/statm");
  long pages = 0;
  file >> pages;
  return pages * (::sysconf(_SC_PAGESIZE) / 1024);
}

TEST_CASE("500 launches use the same memory again") {
  ForEachMethod([](LaunchMethod method) {
    const auto launch_one = [method](int i) {
      ExecPlan plan = PlanFor({i % 5 == 0 ? std::string("/nowhere/program")
                                          : ChildProgram("tiny_exit")});
      plan.method = method;
      const Ended ended = LaunchAndReap(std::move(plan));
      REQUIRE(ended.started.has_value() == (i % 5 != 0));
    };
    for (int i = 0; i < 20; ++i) launch_one(i);
    const long before = SizeKilobytes();
    for (int i = 0; i < 500; ++i) launch_one(i);
    // A stack of 32 KB for each would be 16,000.
    CHECK(SizeKilobytes() - before < 4'000);
  });
}
#endif

TEST_CASE("many launches may be under way at once") {
  ForEachMethod([](LaunchMethod method) {
    std::vector<ExecLaunch> launches;
    for (int i = 0; i < 50; ++i) {
      ExecPlan plan = PlanFor({ChildProgram("exit_with"), std::to_string(i)});
      plan.method = method;
      auto launch = ExecLaunch::Start(std::move(plan));
      REQUIRE(launch);
      launches.push_back(std::move(*launch));
    }
    for (int i = 0; i < 50; ++i) {
      auto& launch = launches[static_cast<std::size_t>(i)];
      CHECK(AwaitStarted(launch));
      CHECK(Reap(launch.pid()) == i);
    }
  });
}

TEST_CASE("without descriptors a launch fails at its pipe and says so") {
  const auto outcome = testing::RunInChild([](int output) {
    ExecPlan plan = PlanFor({"/bin/true"});
    const struct rlimit limit = {3, 3};
    ::setrlimit(RLIMIT_NOFILE, &limit);
    const auto launch = ExecLaunch::Start(std::move(plan));
    if (launch) return 1;
    testing::WriteText(output, launch.error().code + " " + launch.error().step +
                                   " " +
                                   std::to_string(launch.error().error_number));
    return 0;
  });
  CHECK(outcome.code() == 0);
  CHECK(outcome.output == "launch_failed pipe " + std::to_string(EMFILE));
}

TEST_CASE("a program with a slash in its name is looked for nowhere else") {
  CHECK(FindCandidates("/bin/sh", {"PATH=/usr/bin"}) ==
        std::vector<std::string>{"/bin/sh"});
  CHECK(FindCandidates("./sh", {"PATH=/usr/bin"}) ==
        std::vector<std::string>{"./sh"});
}

TEST_CASE("the folders of the PATH are tried in their order") {
  CHECK(FindCandidates("sh", {"A=1", "PATH=/a:/b/c:/d", "PATH=/e"}) ==
        std::vector<std::string>{"/a/sh", "/b/c/sh", "/d/sh"});
}

TEST_CASE("an empty element of the PATH is the working directory") {
  CHECK(FindCandidates("sh", {"PATH=:/a::/b:"}) ==
        std::vector<std::string>{"./sh", "/a/sh", "./sh", "/b/sh", "./sh"});
  CHECK(FindCandidates("sh", {"PATH="}) == std::vector<std::string>{"./sh"});
}

TEST_CASE("without a PATH the usual folders are tried") {
  CHECK(FindCandidates("sh", {}) ==
        std::vector<std::string>{"/bin/sh", "/usr/bin/sh"});
  CHECK(FindCandidates("sh", {"PATHS=/a", "XPATH=/b"}) ==
        std::vector<std::string>{"/bin/sh", "/usr/bin/sh"});
}

TEST_CASE("no name is found nowhere") {
  CHECK(FindCandidates("", {"PATH=/a"}).empty());
  ForEachMethod([](LaunchMethod method) {
    CheckExecFails(method, PlanFor({""}), ENOENT);
  });
}

TEST_CASE("the PATH of the request is searched as execvp does") {
  Folder empty;
  Folder forbidden;
  Folder good;
  Folder other;
  forbidden.AddFile("tool", "text", 0644);
  good.AddLink("tool", ChildProgram("exit_with"));
  other.AddFile("tool", "#!/bin/sh\nexit 99\n", 0755);
  const auto run = [&](LaunchMethod method, const std::string& path,
                       const std::string& cwd) {
    protocol::Setup setup;
    setup.argv = {"tool", "4"};
    setup.env = {"PATH=" + path};
    setup.cwd = cwd;
    ExecPlan plan = PlanForSetup(setup, {});
    plan.method = method;
    return LaunchAndReap(std::move(plan));
  };
  ForEachMethod([&](LaunchMethod method) {
    // On past what is not there, is no folder, or may not be executed.
    const std::string skipped =
        empty.path() + ":/nowhere:/dev/null:" + forbidden.path();
    Ended ended =
        run(method, skipped + ":" + good.path() + ":" + other.path(), "/");
    CHECK(ended.started);
    CHECK(ended.code == 4);
    ended = run(method, other.path() + ":" + good.path(), "/");
    CHECK(ended.code == 99);
    // The empty element is the worker's directory, not the launcher's.
    ended = run(method, empty.path() + ":", good.path());
    CHECK(ended.started);
    CHECK(ended.code == 4);
    // "Not allowed" is the better answer when both were seen.
    ended = run(method, skipped + ":" + empty.path(), "/");
    REQUIRE_FALSE(ended.started);
    CHECK(ended.started.error().error_number == EACCES);
    ended = run(method, empty.path(), "/");
    REQUIRE_FALSE(ended.started);
    CHECK(ended.started.error().error_number == ENOENT);
    CHECK(ended.started.error().hint.find("PATH") != std::string::npos);
  });
}

}  // namespace
}  // namespace forkserver
