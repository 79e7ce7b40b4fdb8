#include "tests/unit/sdk_cpp/scoped_test_state.h"

#include <dirent.h>
#include <doctest/doctest.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace forkserver::test {
namespace {

void Set(const std::string& name, const std::optional<std::string>& value) {
  if (value) {
    ::setenv(name.c_str(), value->c_str(), 1);
  } else {
    ::unsetenv(name.c_str());
  }
}

}  // namespace

ScopedEnvironment::ScopedEnvironment(
    std::initializer_list<std::pair<std::string, std::optional<std::string>>>
        variables) {
  for (const auto& [name, value] : variables) {
    const char* before = std::getenv(name.c_str());
    before_[name] = before ? std::optional<std::string>(before) : std::nullopt;
    Set(name, value);
  }
}

ScopedEnvironment::~ScopedEnvironment() {
  for (const auto& [name, value] : before_) Set(name, value);
}

TemporaryFolder::TemporaryFolder() {
  char path[] = "/tmp/fs_test_XXXXXX";
  REQUIRE(::mkdtemp(path) != nullptr);
  path_ = path;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

int CountFds() {
  int count = 0;
  for (int fd = 0; fd < 1024; ++fd) {
    struct stat info = {};
    if (::fstat(fd, &info) == 0) ++count;
  }
  return count;
}

void CheckNoChildren() {
  CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
  CHECK(errno == ECHILD);
}

bool WaitFor(const std::function<bool()>& predicate) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!predicate()) {
    if (std::chrono::steady_clock::now() > end) return false;
    ::poll(nullptr, 0, 2);
  }
  return true;
}

int RunInForkedChild(const std::function<int()>& body) {
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) ::_exit(body());
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void WriteFile(const std::string& path, const std::string& text,
               bool executable) {
  std::ofstream(path) << text;
  ::chmod(path.c_str(), executable ? 0755 : 0644);
}

}  // namespace forkserver::test
