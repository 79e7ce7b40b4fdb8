// Does what its arguments say, one after the other, and prints what it sees:
// a program for `forkserver guard`, which must see no difference.
#include <poll.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <thread>
#include <vector>

extern "C" {
extern char** environ;
// With names that a report can be searched for.
void StartCounter();
void RunCounter();
void ForkAChild();
}

namespace {

volatile sig_atomic_t children_ended = 0;
// What the child does.
void (*in_child)() = [] { ::_exit(0); };

void NoteChild(int) { children_ended = children_ended + 1; }

void WaitForAnyone() {
  int count = 0;
  for (;;) {
    if (::waitpid(-1, nullptr, 0) > 0) {
      ++count;
    } else if (errno != EINTR) {
      break;
    }
  }
  // Of signals that come at a time one may stand for all.
  std::printf("waited %d, %s, %s\n", count,
              children_ended != 0 ? "signalled" : "not signalled",
              std::strerror(errno));
}

void ExecuteTrue() {
  ::execl("/bin/true", "true", nullptr);
  ::_exit(127);
}

// Until standard input is at its end.
void AwaitInput() {
  char byte;
  while (::read(STDIN_FILENO, &byte, 1) > 0) {
  }
}

// Until there is a report of libforkguard, if one is to be.
void AwaitReport() {
  const char* const file = std::getenv("FORKSERVER_GUARD_REPORT");
  struct stat status = {};
  while (file != nullptr && (::stat(file, &status) != 0 || !status.st_size)) {
    ::poll(nullptr, 0, 1);
  }
  std::printf("signals %d\n", static_cast<int>(children_ended));
  std::fflush(stdout);
}

void CountDescriptors() {
  int count = 0;
  for (int fd = 0; fd < 256; ++fd) count += ::dup2(fd, fd) == fd ? 1 : 0;
  std::printf("descriptors %d\n", count);
}

void SpawnTrue() {
  char name[] = "/bin/true";
  char* arguments[] = {name, nullptr};
  pid_t pid = -1;
  ::posix_spawn(&pid, name, nullptr, nullptr, arguments, environ);
}

void VforkTrue() {
  const pid_t pid = ::vfork();
  if (pid == 0) {
    ::execl("/bin/true", "true", nullptr);
    ::_exit(127);
  }
}

void StartShortThreads() {
  for (int i = 0; i < 1000; ++i) std::thread([] {}).join();
}

// Eight threads that fork and start threads at a time.
void ForkCrowd() {
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([] {
      for (int round = 0; round < 50; ++round) {
        const pid_t pid = ::fork();
        if (pid == 0) in_child();
        int status = 0;
        while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
        if (status != 0) std::printf("status %d\n", status);
        std::thread([] {}).join();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

const std::map<std::string, void (*)()> kActions = {
    {"thread", StartCounter},
    {"short-threads", StartShortThreads},
    {"fork", ForkAChild},
    {"exec", [] { in_child = ExecuteTrue; }},
    {"exec-late",
     [] {
       in_child = [] {
         AwaitInput();
         ExecuteTrue();
       };
     }},
    // As careful programs do, which cuts off whoever relies on a descriptor.
    {"exec-closed",
     [] {
       in_child = [] {
         for (int fd = 3; fd < 1024; ++fd) ::close(fd);
         ExecuteTrue();
       };
     }},
    {"closing",
     [] {
       in_child = [] {
         for (int fd = 3; fd < 1024; ++fd) ::close(fd);
         AwaitInput();
         ::_exit(0);
       };
     }},
    {"crash", [] { in_child = [] { std::abort(); }; }},
    {"from-thread", [] { std::thread(ForkAChild).join(); }},
    {"epoll", [] { ::epoll_create1(0); }},
    {"subreaper", [] { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }},
    {"spawn", SpawnTrue},
    {"vfork", VforkTrue},
    {"system", [] { std::printf("system %d\n", ::system("exit 0")); }},
    {"popen", [] { std::printf("popen %d\n", ::pclose(popen("true", "r"))); }},
    {"crowd", ForkCrowd},
    {"wait", WaitForAnyone},
    {"report", AwaitReport},
    {"descriptors", CountDescriptors},
    {"input", AwaitInput},
    {"exit-now", [] { ::_exit(0); }},
};

}  // namespace

void RunCounter() {
  ::prctl(PR_SET_NAME, "counter");
  for (;;) ::pause();
}

void StartCounter() {
  std::thread(RunCounter).detach();
  // Its name is there.
  for (char name[16] = {}; std::strcmp(name, "counter") != 0;) {
    FILE* const list = ::popen(
        ("cat /proc/" + std::to_string(::getpid()) + "/task/*/comm").c_str(),
        "r");
    while (std::fscanf(list, "%15s", name) == 1 &&
           std::strcmp(name, "counter") != 0) {
    }
    ::pclose(list);
  }
  children_ended = 0;
}

void ForkAChild() {
  std::fflush(stdout);
  const pid_t pid = ::fork();
  if (pid == 0) in_child();
  if (pid < 0) std::printf("fork: %s\n", std::strerror(errno));
}

int main(int argc, char** argv) {
  struct sigaction action = {};
  action.sa_handler = NoteChild;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGCHLD, &action, nullptr);
  for (int i = 1; i < argc; ++i) {
    const auto found = kActions.find(argv[i]);
    if (found == kActions.end()) return 2;
    found->second();
  }
  return 0;
}
