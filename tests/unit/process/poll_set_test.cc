#include "sdk/process/poll_set.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "sdk/base/unix_socket.h"
#include "sdk/process/platform.h"
#include "tests/unit/leftovers.h"
#include "tests/unit/run_in_child.h"

namespace forkserver {
namespace {

using testing::NoLeftovers;
using testing::WriteText;

PollSet MakePollSet() {
  auto poll_set = PollSet::Create();
  REQUIRE(poll_set);
  return *std::move(poll_set);
}

std::vector<PollSet::Event> Wait(PollSet& poll_set, int timeout_ms) {
  std::vector<PollSet::Event> events = {{99, true, true}};  // to be cleared
  REQUIRE(poll_set.Wait(timeout_ms, events));
  return events;
}

bool IsReadable(int fd, int timeout_ms = 0) {
  pollfd waiting = {fd, POLLIN, 0};
  return ::poll(&waiting, 1, timeout_ms) == 1;
}

// A child that lives until its pipe is closed.
struct WaitingChild {
  WaitingChild() {
    auto made = MakePipe();
    REQUIRE(made);
    pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      made->write_end.Reset();
      testing::ReadAll(made->read_end.get());
      ::_exit(0);
    }
    pipe = std::move(made->write_end);
    pidfd = OpenProcess(pid);
  }
  void End() {
    pipe.Reset();
    siginfo_t info = {};
    CHECK(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) ==
          0);
  }
  void Reap() { CHECK(::waitpid(pid, nullptr, 0) == pid); }

  pid_t pid = -1;
  UniqueFd pipe;
  UniqueFd pidfd;
};

TEST_CASE("a new set is close-on-exec and has nothing to tell") {
  const NoLeftovers no_leftovers;
  PollSet poll_set = MakePollSet();
  CHECK((::fcntl(poll_set.fd(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK(Wait(poll_set, 0).empty());
  CHECK_FALSE(IsReadable(poll_set.fd()));
}

TEST_CASE("data makes its token readable, and the set too, until it is read") {
  const NoLeftovers no_leftovers;
  PollSet poll_set = MakePollSet();
  auto first = MakePipe();
  auto second = MakePipe();
  REQUIRE(first);
  REQUIRE(second);
  REQUIRE(poll_set.Add(first->read_end.get(), 1));
  REQUIRE(poll_set.Add(second->read_end.get(), UINT64_MAX));
  CHECK(Wait(poll_set, 0).empty());

  WriteText(second->write_end.get(), "x");
  CHECK(IsReadable(poll_set.fd()));
  for (int i = 0; i < 2; ++i) {
    const auto events = Wait(poll_set, -1);
    REQUIRE(events.size() == 1);
    CHECK(events[0].token == UINT64_MAX);
    CHECK(events[0].readable);
    CHECK_FALSE(events[0].writable);
  }
  char byte;
  CHECK(::read(second->read_end.get(), &byte, 1) == 1);
  CHECK(Wait(poll_set, 0).empty());
  CHECK_FALSE(IsReadable(poll_set.fd()));
}

TEST_CASE("the end of a file counts as readable") {
  const NoLeftovers no_leftovers;
  PollSet poll_set = MakePollSet();
  auto pipe = MakePipe();
  REQUIRE(pipe);
  REQUIRE(poll_set.Add(pipe->read_end.get(), 5));
  pipe->write_end.Reset();
  const auto events = Wait(poll_set, -1);
  REQUIRE(events.size() == 1);
  CHECK(events[0].token == 5);
  CHECK(events[0].readable);
}

TEST_CASE("writability is told only while it is asked for") {
  const NoLeftovers no_leftovers;
  PollSet poll_set = MakePollSet();
  auto sockets = MakeSocketPair();
  REQUIRE(sockets);
  const int fd = sockets->first.get();
  REQUIRE(poll_set.Add(fd, 3));
  CHECK(Wait(poll_set, 0).empty());
  poll_set.WatchWritable(fd, 3, true);
  auto events = Wait(poll_set, -1);
  REQUIRE(events.size() == 1);
  CHECK(events[0].token == 3);
  CHECK(events[0].writable);
  CHECK_FALSE(events[0].readable);

  WriteText(sockets->second.get(), "x");
  bool readable = false;
  bool writable = false;
  for (const auto& event : Wait(poll_set, -1)) {
    CHECK(event.token == 3);
    readable = readable || event.readable;
    writable = writable || event.writable;
  }
  CHECK(readable);
  CHECK(writable);

  poll_set.WatchWritable(fd, 3, false);
  events = Wait(poll_set, -1);
  REQUIRE(events.size() == 1);
  CHECK(events[0].readable);
  CHECK_FALSE(events[0].writable);
}

TEST_CASE("what was removed is told no more, even if a child still has it") {
  const NoLeftovers no_leftovers;
  PollSet poll_set = MakePollSet();
  auto pipe = MakePipe();
  REQUIRE(pipe);
  REQUIRE(poll_set.Add(pipe->read_end.get(), 1));
  WaitingChild child;  // inherits the pipe
  WriteText(pipe->write_end.get(), "x");
  CHECK(Wait(poll_set, -1).size() == 1);
  poll_set.Remove(pipe->read_end.get());
  pipe->read_end.Reset();
  CHECK(Wait(poll_set, 0).empty());
  child.End();
  child.Reap();
}

TEST_CASE("the end of a process is told once") {
  const NoLeftovers no_leftovers;
  PollSet poll_set = MakePollSet();
  WaitingChild child;
  REQUIRE(poll_set.AddProcess(child.pid, child.pidfd.get(), 7));
  CHECK(Wait(poll_set, 0).empty());
  child.End();
  const auto events = Wait(poll_set, -1);
  REQUIRE(events.size() == 1);
  CHECK(events[0].token == 7);
  CHECK(events[0].readable);
  // It is still a zombie, and nothing more is said.
  CHECK(Wait(poll_set, 0).empty());
  CHECK_FALSE(IsReadable(poll_set.fd()));
  child.Reap();
  CHECK(Wait(poll_set, 0).empty());
  if (child.pidfd) poll_set.Remove(child.pidfd.get());
}

TEST_CASE("a process that ended before it was added is told") {
  const NoLeftovers no_leftovers;
  PollSet poll_set = MakePollSet();
  WaitingChild child;
  child.End();
  REQUIRE(poll_set.AddProcess(child.pid, child.pidfd.get(), 8));
  const auto events = Wait(poll_set, -1);
  REQUIRE(events.size() == 1);
  CHECK(events[0].token == 8);
  child.Reap();
  if (child.pidfd) poll_set.Remove(child.pidfd.get());
}

TEST_CASE("300 descriptors are all told, in several waits") {
  const NoLeftovers no_leftovers;
  PollSet poll_set = MakePollSet();
  std::map<std::uint64_t, Pipe> pipes;
  for (std::uint64_t token = 0; token < 300; ++token) {
    auto pipe = MakePipe();
    REQUIRE(pipe);
    WriteText(pipe->write_end.get(), "x");
    REQUIRE(poll_set.Add(pipe->read_end.get(), token));
    pipes.emplace(token, *std::move(pipe));
  }
  while (!pipes.empty()) {
    const auto events = Wait(poll_set, 0);
    REQUIRE_FALSE(events.empty());
    for (const auto& event : events) {
      const auto found = pipes.find(event.token);
      REQUIRE(found != pipes.end());
      poll_set.Remove(found->second.read_end.get());
      pipes.erase(found);
    }
  }
  CHECK(Wait(poll_set, 0).empty());
}

TEST_CASE("a descriptor that cannot be watched is an error") {
  const NoLeftovers no_leftovers;
  PollSet poll_set = MakePollSet();
  auto added = poll_set.Add(-1, 1);
  REQUIRE_FALSE(added);
  CHECK(added.error().error_number == EBADF);
  auto pipe = MakePipe();
  REQUIRE(pipe);
  CHECK(poll_set.Add(pipe->read_end.get(), 1));
#ifdef __linux__
  CHECK(poll_set.Add(pipe->read_end.get(), 2).error().error_number == EEXIST);
#endif
}

void DoNothing(int) {}

TEST_CASE("a signal ends a wait early, without events") {
  const NoLeftovers no_leftovers;
  PollSet poll_set = MakePollSet();
  struct sigaction handle = {};
  handle.sa_handler = DoNothing;
  struct sigaction old = {};
  ::sigaction(SIGALRM, &handle, &old);
  // Again and again: one signal alone might come before the wait begins.
  const itimerval often = {{0, 5'000}, {0, 5'000}};
  ::setitimer(ITIMER_REAL, &often, nullptr);
  CHECK(Wait(poll_set, -1).empty());
  const itimerval never = {};
  ::setitimer(ITIMER_REAL, &never, nullptr);
  ::sigaction(SIGALRM, &old, nullptr);
}

}  // namespace
}  // namespace forkserver
