#include "sdk/process/platform.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#endif

#include <algorithm>
#include <csignal>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "sdk/base/unix_socket.h"
#include "tests/unit/leftovers.h"
#include "tests/unit/run_in_child.h"
#include "tests/unit/wait_for.h"

namespace forkserver {
namespace {

using testing::NoLeftovers;
using testing::RunInChild;
using testing::WaitFor;
using testing::WriteText;

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// A thread with a name that does nothing until it is destroyed.
class HelperThread {
 public:
  explicit HelperThread(const char* name) {
    auto hold = MakePipe();
    auto ready = MakePipe();
    REQUIRE(hold);
    REQUIRE(ready);
    hold_ = std::move(hold->write_end);
    thread_ = std::thread([read_end = hold->read_end.Release(),
                           write_end = ready->write_end.Release(), name] {
#ifdef __linux__
      ::pthread_setname_np(::pthread_self(), name);
#else
      ::pthread_setname_np(name);
#endif
      ::close(write_end);
      testing::ReadAll(read_end);
      ::close(read_end);
    });
    testing::ReadAll(ready->read_end.get());
  }
  ~HelperThread() {
    hold_.Reset();
    thread_.join();
  }

 private:
  UniqueFd hold_;
  std::thread thread_;
};

// A child in which `prepare` has been called and which lives until it is
// destroyed; it reports by its pipe that it is ready.
class PreparedChild {
 public:
  explicit PreparedChild(const std::function<bool()>& prepare) {
    auto hold = MakePipe();
    auto ready = MakePipe();
    REQUIRE(hold);
    REQUIRE(ready);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      hold->write_end.Reset();
      WriteText(ready->write_end.get(), prepare() ? "y" : "n");
      ready->write_end.Reset();
      testing::ReadAll(hold->read_end.get());
      ::_exit(0);
    }
    hold_ = std::move(hold->write_end);
    ready->write_end.Reset();
    prepared_ = testing::ReadAll(ready->read_end.get()) == "y";
  }
  ~PreparedChild() {
    hold_.Reset();
    ::waitpid(pid_, nullptr, 0);
  }
  bool prepared() const { return prepared_; }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  bool prepared_ = false;
  UniqueFd hold_;
};

TEST_CASE("a process without helpers has one thread") {
  // In a child, for sanitizers may have helpers of their own here.
  const auto outcome = RunInChild([](int output) {
    WriteText(output, std::to_string(CountThreads()) + " " +
                          std::to_string(ListThreads().size()) + " [" +
                          DescribeExtraThreads() + "]");
    return 0;
  });
  CHECK(outcome.output == "1 1 []");
}

TEST_CASE("a helper thread is counted and named, and forgotten when it ends") {
  const NoLeftovers no_leftovers;
  const int before = CountThreads();
  {
    const HelperThread first("first helper");
    const HelperThread second("second");
    CHECK(CountThreads() == before + 2);
    const std::vector<ThreadInfo> threads = ListThreads();
    CHECK(static_cast<int>(threads.size()) == before + 2);
#ifdef __linux__
    CHECK(threads.at(0).id == ::getpid());
#endif
    const std::string text = DescribeExtraThreads();
    CAPTURE(text);
    CHECK(Contains(text, "'first helper'"));
    CHECK(Contains(text, "'second'"));
    CHECK(Contains(text, ", "));
    CHECK_FALSE(Contains(text, std::to_string(::getpid()) + " "));
  }
  CHECK(WaitFor([&] { return CountThreads() == before; }));
}

TEST_CASE("the limits of this process are read by name") {
  const auto limits = ReadLimits(::getpid());
#ifdef __linux__
  REQUIRE(limits);
  CHECK(limits->size() == LimitNames().size());
#endif
  if (!limits) return;
  struct rlimit value = {};
  ::getrlimit(RLIMIT_NOFILE, &value);
  const ResourceLimit& nofile = limits->at("nofile");
  CHECK(nofile.soft == static_cast<std::int64_t>(value.rlim_cur));
}

#ifdef __linux__
TEST_CASE("the limits of another process are its own, infinity is -1") {
  const NoLeftovers no_leftovers;
  const PreparedChild child([] {
    const struct rlimit nofile = {123, 456};
    const struct rlimit core = {0, 0};
    return ::setrlimit(RLIMIT_NOFILE, &nofile) == 0 &&
           ::setrlimit(RLIMIT_CORE, &core) == 0;
  });
  REQUIRE(child.prepared());
  const auto limits = ReadLimits(child.pid());
  REQUIRE(limits);
  CHECK(limits->at("nofile").soft == 123);
  CHECK(limits->at("nofile").hard == 456);
  CHECK(limits->at("core").hard == 0);
  struct rlimit value = {};
  ::getrlimit(RLIMIT_CPU, &value);
  if (value.rlim_cur == RLIM_INFINITY) CHECK(limits->at("cpu").soft == -1);
}

TEST_CASE("limits that are known already are left out") {
  const auto all = ReadLimits(::getpid());
  REQUIRE(all);
  const auto none = ReadLimits(::getpid(), *all);
  REQUIRE(none);
  CHECK(none->empty());
  // One that differs, one that is missing, one that does not exist.
  ResourceLimits known = *all;
  ++known.at("nofile").soft;
  known.erase("as");
  known["zzz"] = {1, 1};
  const auto two = ReadLimits(::getpid(), known);
  REQUIRE(two);
  CHECK(two->size() == 2);
  CHECK(two->at("nofile").soft == all->at("nofile").soft);
  CHECK(two->count("as") == 1);
}

TEST_CASE("the limits of a process that is gone cannot be read") {
  pid_t gone = -1;
  {
    gone = PreparedChild([] { return true; }).pid();
  }
  CHECK_FALSE(ReadLimits(gone).has_value());
}
#endif

TEST_CASE("every limit's name leads to its resource and no other does") {
  CHECK(LimitByName("nofile") == RLIMIT_NOFILE);
  CHECK(LimitByName("core") == RLIMIT_CORE);
  CHECK(LimitByName("stack") == RLIMIT_STACK);
  CHECK(LimitByName("NOFILE") == -1);
  CHECK(LimitByName("") == -1);
  CHECK(LimitByName("nofile ") == -1);
  std::vector<int> resources;
  for (const std::string& name : LimitNames()) {
    resources.push_back(LimitByName(name));
    CHECK(resources.back() >= 0);
  }
  std::sort(resources.begin(), resources.end());
  CHECK(std::adjacent_find(resources.begin(), resources.end()) ==
        resources.end());
#ifdef __linux__
  CHECK(resources.size() == RLIM_NLIMITS);
#endif
}

TEST_CASE("a peer is who connected") {
  const NoLeftovers no_leftovers;
  auto sockets = MakeSocketPair();
  REQUIRE(sockets);
  const auto peer = ReadPeer(sockets->first.get());
  REQUIRE(peer);
  CHECK(peer->pid == ::getpid());
  CHECK(peer->uid == ::geteuid());
  auto pipe = MakePipe();
  REQUIRE(pipe);
  CHECK_FALSE(ReadPeer(pipe->read_end.get()));
  CHECK_FALSE(ReadPeer(-1));
}

TEST_CASE(
    "a peer is the process that connected, though another holds its "
    "descriptor") {
  std::string folder = "/tmp/fs-unit-XXXXXX";
  REQUIRE(::mkdtemp(folder.data()) != nullptr);
  const std::string path = folder + "/s";
  {
    const NoLeftovers no_leftovers;
    auto listener = ListenUnixSocket(path, 1);
    REQUIRE(listener);
    UniqueFd client;
    const PreparedChild child([&] {
      auto connected = ConnectUnixSocket(path);
      if (!connected) return false;
      // It stays open as long as the child lives.
      client = *std::move(connected);
      return true;
    });
    REQUIRE(child.prepared());
    const UniqueFd server(::accept(listener->get(), nullptr, nullptr));
    REQUIRE(server);
    const auto peer = ReadPeer(server.get());
    REQUIRE(peer);
    CHECK(peer->pid == child.pid());
#ifdef __linux__
    const UniqueFd process = OpenProcess(peer->pid, server.get());
    REQUIRE(process);
    CHECK((::fcntl(process.get(), F_GETFD) & FD_CLOEXEC) != 0);
    pollfd waiting = {process.get(), POLLIN, 0};
    CHECK(::poll(&waiting, 1, 0) == 0);
    ::kill(child.pid(), SIGKILL);
    CHECK(::poll(&waiting, 1, 30'000) == 1);
#endif
  }
  CHECK(::unlink(path.c_str()) == 0);
  CHECK(::rmdir(folder.c_str()) == 0);
}

#ifdef __linux__
TEST_CASE("a process descriptor is readable once its process has ended") {
  const NoLeftovers no_leftovers;
  UniqueFd process;
  pollfd waiting = {-1, POLLIN, 0};
  {
    const PreparedChild child([] { return true; });
    process = OpenProcess(child.pid());
    REQUIRE(process);
    CHECK((::fcntl(process.get(), F_GETFD) & FD_CLOEXEC) != 0);
    waiting.fd = process.get();
    CHECK(::poll(&waiting, 1, 0) == 0);
  }
  CHECK(::poll(&waiting, 1, 30'000) == 1);
}

TEST_CASE("a process that does not exist cannot be opened") {
  pid_t gone = -1;
  {
    gone = PreparedChild([] { return true; }).pid();
  }
  CHECK_FALSE(OpenProcess(gone).valid());
}
#endif

TEST_CASE("open descriptors are counted") {
  const int before = CountOpenFds();
  CHECK(before >= 3);
  {
    const UniqueFd one(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const UniqueFd two(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    CHECK(CountOpenFds() == before + 2);
  }
  CHECK(CountOpenFds() == before);
}

TEST_CASE("descriptors are closed from a number on, but for those to be kept") {
  const auto outcome = RunInChild([](int output) {
    for (const int fd : {50, 51, 52, 60, 400}) ::dup2(0, fd);
    ::dup2(output, 300);
    CloseDescriptorsFrom(51, {300, 52, 7});
    std::string open;
    for (int fd = 50; fd < 1000; ++fd) {
      if (::fcntl(fd, F_GETFD) >= 0) open += std::to_string(fd) + " ";
    }
    WriteText(300, open);
    return 0;
  });
  CHECK(outcome.output == "50 52 300 ");
}

TEST_CASE("resetting signals leaves none handled, ignored or blocked") {
  const auto outcome = RunInChild([](int) {
    ::signal(SIGTERM, SIG_IGN);
    ::signal(SIGUSR1, [](int) {});
    sigset_t all;
    sigfillset(&all);
    ::sigprocmask(SIG_BLOCK, &all, nullptr);
    ResetSignals();
    sigset_t blocked;
    ::sigprocmask(SIG_SETMASK, nullptr, &blocked);
    for (int signal = 1; signal < NSIG; ++signal) {
      if (sigismember(&blocked, signal) == 1) return signal;
      struct sigaction action = {};
      if (::sigaction(signal, nullptr, &action) == 0 &&
          action.sa_handler != SIG_DFL) {
        return signal;
      }
    }
    return 0;
  });
  CHECK(outcome.code() == 0);
}

TEST_CASE("the parent's death is told by a signal, or at once if it is dead") {
  const NoLeftovers no_leftovers;
  const pid_t parent = ::getpid();
  CHECK(RunInChild([parent](int) {
          return SetParentDeathSignal(SIGKILL, parent) ? 0 : 1;
        }).code() == 0);
  CHECK(RunInChild([](int) {
          return SetParentDeathSignal(SIGKILL, 1) ? 0 : 1;
        }).code() == 1);
}

#ifdef __linux__
TEST_CASE("a subreaper gets the orphans of its children") {
  const auto outcome = RunInChild([](int) {
    if (!BecomeSubreaper()) return 1;
    auto pipe = MakePipe();
    if (!pipe) return 2;
    const pid_t child = ::fork();
    if (child == 0) {
      if (::fork() == 0) {
        pipe->write_end.Reset();
        testing::ReadAll(pipe->read_end.get());
        ::_exit(7);
      }
      ::_exit(0);
    }
    if (::waitpid(child, nullptr, 0) != child) return 3;
    pipe->write_end.Reset();
    int status = 0;
    if (::waitpid(-1, &status, 0) <= 0) return 4;
    return WEXITSTATUS(status) == 7 ? 0 : 5;
  });
  CHECK(outcome.code() == 0);
}
#endif

TEST_CASE("the time goes on and is that of CLOCK_MONOTONIC") {
  const std::int64_t first = MonotonicNanoseconds();
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const std::int64_t second =
      std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  const std::int64_t third = MonotonicNanoseconds();
  CHECK(first <= second);
  CHECK(second <= third);
}

TEST_CASE("this program has a file and resident memory") {
  CHECK(Contains(ExecutablePath(), "platform_test"));
  CHECK(ExecutablePath().front() == '/');
  CHECK(ResidentBytes() > 100'000);
}

#ifdef __linux__
TEST_CASE("a child as free as this process is not confined") {
  const NoLeftovers no_leftovers;
  const PreparedChild child([] { return true; });
  CHECK(DescribeConfinement(child.pid()) == "");
  CHECK(DescribeConfinement(::getpid()) == "");
}

TEST_CASE("a child with no_new_privs is confined, and that is named") {
  const NoLeftovers no_leftovers;
  const PreparedChild child(
      [] { return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0; });
  REQUIRE(child.prepared());
  CHECK(Contains(DescribeConfinement(child.pid()), "no_new_privs"));
}

TEST_CASE("a child of a confined process is no more confined than it") {
  const auto outcome = RunInChild([](int output) {
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    const PreparedChild child([] { return true; });
    WriteText(output, "[" + DescribeConfinement(child.pid()) + "]");
    return 0;
  });
  CHECK(outcome.output == "[]");
}

bool AllowEverythingBySeccomp() {
  sock_filter allow[] = {{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
  const sock_fprog program = {1, allow};
  return ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

TEST_CASE("a child under a seccomp filter is confined, and that is named") {
  const NoLeftovers no_leftovers;
  // no_new_privs allows a filter without privileges, and would be named
  // first: this process's child has it, and its own child a filter on top.
  const auto outcome = RunInChild([](int output) {
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    const PreparedChild child(AllowEverythingBySeccomp);
    if (!child.prepared()) return 1;
    WriteText(output, DescribeConfinement(child.pid()));
    return 0;
  });
  CHECK(outcome.code() == 0);
  CHECK(Contains(outcome.output, "seccomp"));
}

TEST_CASE("a child under more seccomp filters is confined too") {
  const auto outcome = RunInChild([](int output) {
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (!AllowEverythingBySeccomp()) return 1;
    const PreparedChild child(AllowEverythingBySeccomp);
    if (!child.prepared()) return 2;
    WriteText(output, DescribeConfinement(child.pid()));
    return 0;
  });
  CHECK(outcome.code() == 0);
  CHECK(Contains(outcome.output, "more seccomp filters"));
}

TEST_CASE("a process that is gone counts as confined") {
  pid_t gone = -1;
  {
    gone = PreparedChild([] { return true; }).pid();
  }
  CHECK_FALSE(DescribeConfinement(gone).empty());
}
#endif

}  // namespace
}  // namespace forkserver
