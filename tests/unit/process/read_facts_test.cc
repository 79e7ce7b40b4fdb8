// What ReadFacts sees of real processes.
#include "sdk/process/audit/read_facts.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <ctime>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "sdk/base/unique_fd.h"
#include "sdk/base/unix_socket.h"
#include "sdk/process/audit/read_stacks.h"
#include "tests/unit/leftovers.h"
#include "tests/unit/wait_for.h"

namespace forkserver::audit {
namespace {

using testing::NoLeftovers;
using testing::WaitFor;

// A child that does `prepare`, says so, and waits to be killed.
class Patient {
 public:
  explicit Patient(const std::function<void()>& prepare) {
    Result<Pipe> pipe = MakePipe();
    REQUIRE(pipe);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::alarm(60);
      prepare();
      static_cast<void>(::write(pipe->write_end.get(), "x", 1) == 1);
      for (;;) ::pause();
    }
    char byte;
    pipe->write_end.Reset();
    REQUIRE(::read(pipe->read_end.get(), &byte, 1) == 1);
  }
  ~Patient() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
};

ProcessFacts Facts(pid_t pid) {
  auto facts = ReadFacts(pid);
  REQUIRE_MESSAGE(facts, facts.error().ToString());
  return *facts;
}

const DescriptorFact* Find(const ProcessFacts& facts, DescriptorKind kind) {
  for (const DescriptorFact& each : facts.descriptors) {
    if (each.kind == kind) return &each;
  }
  return nullptr;
}

void* Sleep(void* name) {
  ::pthread_setname_np(::pthread_self(), static_cast<const char*>(name));
  for (;;) ::pause();
}

TEST_CASE("this process and its child look alike") {
  const NoLeftovers none;
  const ProcessFacts own = Facts(::getpid());
  CHECK(own.pid == ::getpid());
  CHECK(own.threads.empty());
  CHECK(own.unreadable.empty());
  const Patient patient([] {});
  const ProcessFacts other = Facts(patient.pid());
  CHECK(other.program == own.program);
  CHECK(other.libraries.size() == own.libraries.size());
  CHECK_FALSE(other.environment.empty());
}

TEST_CASE("threads have names and the file that started them") {
  const NoLeftovers none;
  const Patient patient([] {
    pthread_t thread;
    ::pthread_create(&thread, nullptr, Sleep, const_cast<char*>("plain"));
    new std::thread([] { Sleep(const_cast<char*>("standard")); });
  });
  ProcessFacts facts;
  // Both have their names.
  CHECK(WaitFor([&] {
    facts = Facts(patient.pid());
    return facts.threads.size() == 2 && facts.threads[0].name == "plain" &&
           facts.threads[1].name == "standard";
  }));
  for (const ThreadFact& thread : facts.threads) {
    CAPTURE(thread.name);
#ifndef __SANITIZE_ADDRESS__  // it starts all threads itself
    // Also of std::thread, which begins in libstdc++.
    CHECK(thread.library == facts.program);
#endif
  }
  CHECK(facts.threads[0].offset != 0);
}

TEST_CASE("a mutex that is held has a holder") {
  const NoLeftovers none;
  static std::mutex mutex;
  const Patient patient([] {
    mutex.lock();
    pthread_t thread;
    ::pthread_create(
        &thread, nullptr,
        [](void*) -> void* {
          mutex.lock();
          return nullptr;
        },
        nullptr);
  });
  // The other thread waits.
  CHECK(WaitFor([&] {
    const ProcessFacts facts = Facts(patient.pid());
    return facts.locks.size() == 1 && facts.locks[0].holder == patient.pid() &&
           facts.locks[0].waiter == facts.threads.at(0).id;
  }));
}

TEST_CASE("descriptors have their kinds") {
  const NoLeftovers none;
  const Patient patient([] {
    ::epoll_create1(0);
    ::eventfd(0, 0);
    ::timerfd_create(CLOCK_MONOTONIC, 0);
    ::inotify_init1(0);
    ::memfd_create("shared", 0);
    int ends[2];
    static_cast<void>(::pipe(ends) == 0);
    static_cast<void>(::open("/proc/self/exe", O_RDONLY));
    ::socket(AF_INET, SOCK_DGRAM, 0);
  });
  const ProcessFacts facts = Facts(patient.pid());
  for (const DescriptorKind kind :
       {DescriptorKind::kEventPoll, DescriptorKind::kEventFd,
        DescriptorKind::kTimerFd, DescriptorKind::kInotify,
        DescriptorKind::kSharedMemory, DescriptorKind::kPipe,
        DescriptorKind::kFile, DescriptorKind::kDatagram}) {
    CAPTURE(static_cast<int>(kind));
    CHECK(Find(facts, kind) != nullptr);
  }
}

TEST_CASE("connections have both ends") {
  const NoLeftovers none;
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(::bind(listener.get(), generic, size) == 0);
  REQUIRE(::listen(listener.get(), 5) == 0);
  REQUIRE(::getsockname(listener.get(), generic, &size) == 0);
  const std::string port = std::to_string(ntohs(address.sin_port));

  const Patient patient([&] {
    ::close(listener.get());
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    static_cast<void>(::connect(fd, generic, size) == 0);
  });
  const ProcessFacts facts = Facts(patient.pid());
  const DescriptorFact* const found = Find(facts, DescriptorKind::kConnected);
  REQUIRE(found != nullptr);
  CHECK(found->peer == "127.0.0.1:" + port);
  CHECK(found->text.find("TCP 127.0.0.1:") == 0);
  const ProcessFacts own = Facts(::getpid());
  CHECK(Find(own, DescriptorKind::kListening) != nullptr);
}

TEST_CASE("a Unix connection is told by the path of its other end") {
  const NoLeftovers none;
  char folder[] = "/tmp/fsXXXXXX";
  REQUIRE(::mkdtemp(folder) != nullptr);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string path = std::string(folder) + "/server";
  path.copy(address.sun_path, path.size());
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(::bind(listener.get(), generic, sizeof(address)) == 0);
  REQUIRE(::listen(listener.get(), 5) == 0);
  {
    const Patient patient([&] {
      ::close(listener.get());
      const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
      static_cast<void>(::connect(fd, generic, sizeof(address)) == 0);
    });
    const UniqueFd accepted(
        ::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const ProcessFacts facts = Facts(patient.pid());
    const DescriptorFact* const found = Find(facts, DescriptorKind::kConnected);
    REQUIRE(found != nullptr);
    CHECK(found->peer == path);
  }
  // Both ends in one process: nobody else is at the other end.
  const Patient alone([] {
    int ends[2];
    static_cast<void>(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  });
  CHECK(Find(Facts(alone.pid()), DescriptorKind::kConnected) == nullptr);
  ::unlink(path.c_str());
  ::rmdir(folder);
}

TEST_CASE("signal handlers have names") {
  const NoLeftovers none;
  const Patient patient([] { ::signal(SIGUSR2, [](int) {}); });
  const ProcessFacts facts = Facts(patient.pid());
  bool found = false;
  for (const std::string& name : facts.handled_signals) found |= name == "USR2";
  CHECK(found);
}

TEST_CASE("there is nothing to look at") {
  const NoLeftovers none;
  const auto error_of = [](pid_t pid) {
    auto facts = ReadFacts(pid);
    REQUIRE_FALSE(facts);
    return facts.error().message;
  };
  const pid_t ended = ::fork();
  if (ended == 0) ::_exit(0);
  // It has ended.
  CHECK(WaitFor([&] {
    siginfo_t info = {};
    return ::waitid(P_PID, static_cast<id_t>(ended), &info,
                    WEXITED | WNOWAIT) == 0;
  }));
  CHECK(error_of(ended).find("zombie") != std::string::npos);
  ::waitpid(ended, nullptr, 0);
  CHECK(error_of(ended).find("no process") != std::string::npos);
  CHECK(error_of(1 << 30).find("no process") != std::string::npos);
  // In a PID namespace there may be none.
  if (auto kernel = ReadFacts(2); !kernel) {
    INFO(kernel.error().message);
    CHECK((kernel.error().message.find("kernel") != std::string::npos ||
           kernel.error().message.find("no process") != std::string::npos));
  }
}

TEST_CASE("very many threads and very many mappings") {
  const NoLeftovers none;
  constexpr int kThreads = 2000;
  constexpr int kMappings = 30'000;
  const Patient patient([] {
    pthread_attr_t small;
    ::pthread_attr_init(&small);
    ::pthread_attr_setstacksize(&small, 64 * 1024);
    for (int i = 0; i < kThreads; ++i) {
      pthread_t thread;
      ::pthread_create(&thread, &small, Sleep, const_cast<char*>("one"));
    }
    // Neighbours of unlike protection are not joined.
    for (int i = 0; i < kMappings; ++i) {
      ::mmap(nullptr, 4096, i % 2 == 0 ? PROT_READ : PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
  });
  const ProcessFacts facts = Facts(patient.pid());
  // The sandbox may allow fewer.
  CHECK(facts.threads.size() > 100);
  CHECK(facts.libraries.size() < 100);
}

TEST_CASE("stacks name where a process waits") {
  const NoLeftovers none;
  const Patient patient([] {});
  std::vector<std::string> lines;
  // It waits.
  CHECK(WaitFor([&] {
    lines = ReadStacks(patient.pid());
    return lines.size() > 1;
  }));
  CHECK(lines[0].find("thread " + std::to_string(patient.pid())) == 0);
  bool own = false;
  for (const std::string& line : lines) {
    own |= line.find("read_facts_test") != std::string::npos;
  }
  CHECK(own);
  CHECK(ReadStacks(1 << 30).empty());
  const std::vector<pid_t> children = ListChildren(::getpid());
  CHECK(std::find(children.begin(), children.end(), patient.pid()) !=
        children.end());
}

}  // namespace
}  // namespace forkserver::audit
