#include "tools/benchmark/bare.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

extern char** environ;

namespace forkserver::benchmark {
namespace {

Result<void> Reap(pid_t pid, const std::string& path) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return SystemError("waitpid()", errno);
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return MakeError(error_code::kSystem, path + " did not exit with 0");
}

}  // namespace

BareProgram::BareProgram(std::string path, UniqueFd null_fd)
    : path_(std::move(path)), null_fd_(std::move(null_fd)) {}

Result<BareProgram> BareProgram::Create(std::string path) {
  UniqueFd null_fd(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null_fd) return SystemError("open(/dev/null)", errno);
  return BareProgram(std::move(path), std::move(null_fd));
}

Result<void> BareProgram::SpawnAndWait() {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  for (int stream = 0; stream <= 2; ++stream) {
    ::posix_spawn_file_actions_adddup2(&actions, null_fd_.get(), stream);
  }
  char* const argv[] = {path_.data(), nullptr};
  pid_t pid = 0;
  const int outcome =
      ::posix_spawn(&pid, path_.c_str(), &actions, nullptr, argv, environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (outcome != 0) return SystemError("posix_spawn(" + path_ + ")", outcome);
  return Reap(pid, path_);
}

// macOS calls vfork(2) deprecated; it is here to be compared with.
#ifdef __APPLE__
#pragma clang diagnostic ignored "-Wdeprecated-declarations"
#endif

Result<void> BareProgram::VforkAndWait() {
  char* const argv[] = {path_.data(), nullptr};
  const pid_t pid = ::vfork();
  if (pid == 0) {
    for (int stream = 0; stream <= 2; ++stream) {
      ::dup2(null_fd_.get(), stream);
    }
    ::execve(argv[0], argv, environ);
    ::_exit(127);
  }
  if (pid < 0) return SystemError("vfork()", errno);
  return Reap(pid, path_);
}

}  // namespace forkserver::benchmark
