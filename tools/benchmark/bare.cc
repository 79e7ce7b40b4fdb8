#include "tools/benchmark/bare.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

#include "sdk/base/unix_socket.h"

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

Helper::Helper(pid_t pid, UniqueFd to, UniqueFd from, std::string name)
    : pid_(pid),
      to_(std::move(to)),
      from_(std::move(from)),
      name_(std::move(name)) {}

Helper::Helper(Helper&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)),
      to_(std::move(other.to_)),
      from_(std::move(other.from_)),
      name_(std::move(other.name_)) {}

Helper::~Helper() {
  if (pid_ <= 0) return;
  // Its end of file; one that does not look is killed.
  to_.Reset();
  from_.Reset();
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

Result<Helper> Helper::Start(const std::vector<std::string>& argv) {
  auto to = MakePipe();
  if (!to) return to.error();
  auto from = MakePipe();
  if (!from) return from.error();
  std::vector<std::string> words = argv;
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, to->read_end.get(), 0);
  ::posix_spawn_file_actions_adddup2(&actions, from->write_end.get(), 1);
  pid_t pid = 0;
  const int outcome = ::posix_spawn(&pid, pointers[0], &actions, nullptr,
                                    pointers.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (outcome != 0) return SystemError("posix_spawn(" + argv[0] + ")", outcome);
  return Helper(pid, std::move(to->write_end), std::move(from->read_end),
                argv[0]);
}

Result<void> Helper::Ask(const void* question, std::size_t question_bytes,
                         void* answer, std::size_t answer_bytes) {
  const auto ended = [this] {
    return MakeError(error_code::kSystem, name_ + " ended or is broken");
  };
  // Both are far smaller than PIPE_BUF, so they come whole.
  if (::write(to_.get(), question, question_bytes) !=
      static_cast<ssize_t>(question_bytes)) {
    return ended();
  }
  ssize_t size;
  do {
    size = ::read(from_.get(), answer, answer_bytes);
  } while (size < 0 && errno == EINTR);
  if (size != static_cast<ssize_t>(answer_bytes)) return ended();
  return {};
}

}  // namespace forkserver::benchmark
