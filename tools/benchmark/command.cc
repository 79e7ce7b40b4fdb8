#include "tools/benchmark/command.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string_view>
#include <utility>

#include "sdk/base/unix_socket.h"

extern char** environ;

namespace forkserver::benchmark {
namespace {

std::vector<std::string> EnvironmentOf(const Command& command) {
  std::vector<std::string> all = command.environment;
  for (char** each = environ; *each != nullptr; ++each) {
    const std::string_view own(*each);
    // Up to and with its '='.
    const std::string_view name = own.substr(0, own.find('=') + 1);
    const bool replaced = std::any_of(
        command.environment.begin(), command.environment.end(),
        [name](const std::string& other) { return other.rfind(name, 0) == 0; });
    if (!replaced) all.emplace_back(own);
  }
  return all;
}

std::vector<char*> PointersTo(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Uses up `streams`.
Result<pid_t> Launch(const Command& command,
                     posix_spawn_file_actions_t& streams) {
  std::vector<std::string> argv = command.argv;
  std::vector<std::string> environment = EnvironmentOf(command);
  if (!command.folder.empty()) {
    ::posix_spawn_file_actions_addchdir_np(&streams, command.folder.c_str());
  }
  pid_t pid = 0;
  const int outcome =
      ::posix_spawnp(&pid, argv[0].c_str(), &streams, nullptr,
                     PointersTo(argv).data(), PointersTo(environment).data());
  ::posix_spawn_file_actions_destroy(&streams);
  if (outcome != 0)
    return SystemError("posix_spawnp(" + argv[0] + ")", outcome);
  return pid;
}

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) {
    text += (text.empty() ? "" : " ") + word;
  }
  return text;
}

}  // namespace

Result<void> RunToEnd(const Command& command, const std::string& output) {
  posix_spawn_file_actions_t streams;
  ::posix_spawn_file_actions_init(&streams);
  ::posix_spawn_file_actions_addopen(&streams, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&streams, 1, output.c_str(),
                                     O_WRONLY | O_CREAT | O_TRUNC, 0600);
  ::posix_spawn_file_actions_adddup2(&streams, 1, 2);
  const Result<pid_t> pid = Launch(command, streams);
  if (!pid) return pid.error();
  int status = 0;
  while (::waitpid(*pid, &status, 0) < 0) {
    if (errno != EINTR) return SystemError("waitpid()", errno);
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  std::ostringstream printed;
  printed << std::ifstream(output).rdbuf();
  return MakeError(
      error_code::kSystem,
      Joined(command.argv) + " did not exit with 0:\n" + printed.str());
}

std::string FindInPath(const std::string& name) {
  const char* const path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    std::string file = folder + "/" + name;
    if (::access(file.c_str(), X_OK) == 0) return file;
  }
  return {};
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

Result<Helper> Helper::Start(const Command& command, const int (&ends)[2]) {
  auto to = MakePipe();
  if (!to) return to.error();
  auto from = MakePipe();
  if (!from) return from.error();
  posix_spawn_file_actions_t streams;
  ::posix_spawn_file_actions_init(&streams);
  ::posix_spawn_file_actions_adddup2(&streams, to->read_end.get(), ends[0]);
  ::posix_spawn_file_actions_adddup2(&streams, from->write_end.get(), ends[1]);
  const Result<pid_t> pid = Launch(command, streams);
  if (!pid) return pid.error();
  return Helper(*pid, std::move(to->write_end), std::move(from->read_end),
                Joined(command.argv));
}

Result<void> Helper::Ask(const void* question, std::size_t question_bytes,
                         void* answer, std::size_t answer_bytes) {
  const auto ended = [this] {
    return MakeError(error_code::kSystem, name_ + " ended or is broken");
  };
  // Far smaller than PIPE_BUF, so it goes whole.
  if (::write(to_.get(), question, question_bytes) !=
      static_cast<ssize_t>(question_bytes)) {
    return ended();
  }
  auto* place = static_cast<char*>(answer);
  while (answer_bytes > 0) {
    const ssize_t size = ::read(from_.get(), place, answer_bytes);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return ended();
    place += size;
    answer_bytes -= static_cast<std::size_t>(size);
  }
  return {};
}

}  // namespace forkserver::benchmark
