// Tests that do to their processes, their zygote and the harness whatever a
// test can do. None of them fails in the framework's sense.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <forkserver/testing.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

namespace {

bool warmed = false;

std::string Path(const char* name) {
  const char* const project = std::getenv("PROJECT");
  return std::string(project != nullptr ? project : "/tmp") + "/" + name;
}

// True the first time that it is asked in a project.
bool IsFirstTime(const char* name) {
  const int fd = ::open(Path(name).c_str(), O_CREAT | O_EXCL | O_WRONLY, 0600);
  if (fd >= 0) ::close(fd);
  return fd >= 0;
}

[[noreturn, gnu::noinline]] void SleepForEver() {
  for (;;) ::pause();
}

// A process without an exec, in a session of its own, whose pid is in a file.
void MakeDaemon(const char* name, bool close_streams) {
  if (::fork() != 0) return;
  ::setsid();
  if (close_streams) {
    const int null = ::open("/dev/null", O_RDWR);
    for (int stream = 0; stream <= 2; ++stream) ::dup2(null, stream);
  }
  std::ofstream(Path(name) + ".part") << ::getpid();
  ::rename((Path(name) + ".part").c_str(), Path(name).c_str());
  SleepForEver();
}

void WaitForFile(const char* name) {
  struct stat info = {};
  while (::stat(Path(name).c_str(), &info) != 0) ::usleep(1000);
}

int Recurse(volatile int* depth) {
  volatile char frame[4096] = {};
  *depth = *depth + 1;
  if (*depth < 0) return 0;  // never
  return Recurse(depth) + frame[*depth % 4096];
}

}  // namespace

FORKSERVER_TEST_WARM_UP("warm") { warmed = true; }

TEST_CASE("a good one") { CHECK(warmed); }

TEST_CASE("kills its zygote") {
  ::kill(::getppid(), SIGKILL);
  SleepForEver();
}
TEST_CASE("kills its zygote once") {
  if (!IsFirstTime("killed")) return;
  ::kill(::getppid(), SIGKILL);
  SleepForEver();
}
TEST_CASE("stops its zygote for a while") {
  ::kill(::getppid(), SIGSTOP);
  ::usleep(100'000);
  ::kill(::getppid(), SIGCONT);
}
TEST_CASE("kills its group") { ::kill(0, SIGKILL); }
TEST_CASE("kills itself with a signal that is blocked") {
  sigset_t all;
  sigfillset(&all);
  ::sigprocmask(SIG_BLOCK, &all, nullptr);
  ::kill(::getpid(), SIGKILL);
}
TEST_CASE("exits with 0 in the middle") { ::_exit(0); }
TEST_CASE("exits with 0 by way of exit") { std::exit(0); }
TEST_CASE("reads a null pointer") {
  volatile const int* pointer = nullptr;
  CHECK(*pointer == 0);
}
TEST_CASE("recurses for ever") {
  volatile int depth = 0;
  CHECK(Recurse(&depth) == 0);
}
TEST_CASE("takes all memory that it may") {
  const rlimit limit = {512u << 20, 512u << 20};
  ::setrlimit(RLIMIT_AS, &limit);
  std::vector<char*> kept;
  for (;;) {
    kept.push_back(new char[16u << 20]);
    std::memset(kept.back(), 1, 16u << 20);
  }
}
TEST_CASE("closes all descriptors") {
  for (int fd = 0; fd < 1024; ++fd) ::close(fd);
}
TEST_CASE("writes 200 MB") {
  const std::string text(1u << 20, 'x');
  for (int i = 0; i < 200; ++i) {
    for (std::size_t at = 0; at < text.size();) {
      const auto size = ::write(i % 2 + 1, text.data() + at, text.size() - at);
      if (size <= 0) std::abort();
      at += static_cast<std::size_t>(size);
    }
  }
}
TEST_CASE("leaves a child in its group") {
  if (::fork() == 0) SleepForEver();
}
TEST_CASE("leaves a daemon") {
  MakeDaemon("daemon", true);
  WaitForFile("daemon");
}
TEST_CASE("leaves a daemon that holds its streams") {
  MakeDaemon("holder", false);
  WaitForFile("holder");
}
TEST_CASE("stops itself") { ::raise(SIGSTOP); }
TEST_CASE("blocks all signals and hangs") {
  sigset_t all;
  sigfillset(&all);
  ::sigprocmask(SIG_BLOCK, &all, nullptr);
  SleepForEver();
}
TEST_CASE("hangs") { SleepForEver(); }
TEST_CASE("deletes its working directory") {
  const std::string folder = Path("deleted");
  CHECK(::mkdir(folder.c_str(), 0700) == 0);
  CHECK(::chdir(folder.c_str()) == 0);
  CHECK(::rmdir(folder.c_str()) == 0);
}
TEST_CASE("leaves its group") { CHECK(::setpgid(0, ::getppid()) != 2); }
TEST_CASE("scribbles over the report") {
  // The page is the only memory of this size that is shared.
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("forkserver-report") == std::string::npos) continue;
    const auto begin = std::strtoull(line.c_str(), nullptr, 16);
    std::memset(reinterpret_cast<char*>(begin) + 12, 0xff, 4096);
  }
}
TEST_CASE("says in the child of a fork that it passed, and crashes") {
  // The child runs on into the framework, which reports and exits with 0.
  if (::fork() != 0) {
    ::usleep(50'000);
    ::raise(SIGABRT);
  }
}
