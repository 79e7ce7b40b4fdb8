#include "sdk/cpp/start_daemon.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/cpp/find_daemon.h"
#include "sdk/cpp/process_end.h"
#include "sdk/process/platform.h"

namespace forkserver {
namespace {

// The exit code of a daemon that found another one serving the socket.
constexpr int kAnotherServes = 1;

// The attributes of a process that is not to inherit anything of a caller
// who may be in any state: no signal blocked or ignored, /dev/null as its
// streams, no other descriptor, not in the terminal's foreground group.
class SpawnAttributes {
 public:
  SpawnAttributes() {
    ::posix_spawn_file_actions_init(&actions_);
    for (int fd = 0; fd <= 2; ++fd) {
      ::posix_spawn_file_actions_addopen(&actions_, fd, "/dev/null", O_RDWR, 0);
    }
    ::posix_spawnattr_init(&attributes_);
    short flags =
        POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
#ifdef __APPLE__
    flags |= POSIX_SPAWN_CLOEXEC_DEFAULT;
#elif defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
    ::posix_spawn_file_actions_addclosefrom_np(&actions_, 3);
#endif
    ::posix_spawnattr_setflags(&attributes_, flags);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
    sigset_t signals;
    sigemptyset(&signals);
    ::posix_spawnattr_setsigmask(&attributes_, &signals);
    sigfillset(&signals);
    ::posix_spawnattr_setsigdefault(&attributes_, &signals);
  }
  ~SpawnAttributes() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  SpawnAttributes(const SpawnAttributes&) = delete;
  SpawnAttributes& operator=(const SpawnAttributes&) = delete;

  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

Error StartFailed(const std::string& command, const std::string& outcome) {
  return MakeError(error_code::kConnectFailed, command + " " + outcome,
                   "run it in a terminal, or read its log, to see why");
}

}  // namespace

Result<void> StartDaemon(const std::string& daemon_program,
                         const std::string& socket_path,
                         std::chrono::milliseconds idle_exit,
                         const Deadline& deadline, bool keep_surroundings) {
  Result<std::string> program = FindDaemonProgram(daemon_program);
  if (!program) {
    Error error = program.error();
    error.message = "no daemon is running, and " + error.message;
    return error;
  }
  std::vector<std::string> words = {*program, "--socket", socket_path,
                                    "--idle-exit",
                                    std::to_string(idle_exit.count()) + "ms"};
  if (keep_surroundings) words.emplace_back("--keep-surroundings");
  std::vector<char*> argv;
  std::string command;
  for (std::string& word : words) {
    argv.push_back(word.data());
    command += (command.empty() ? "" : " ") + word;
  }
  argv.push_back(nullptr);

  const SpawnAttributes attributes;
  pid_t pid = 0;
  const int spawned =
      ::posix_spawn(&pid, program->c_str(), attributes.actions(),
                    attributes.attributes(), argv.data(), OwnEnvironment());
  if (spawned != 0) {
    Error error = SystemError("posix_spawn(" + command + ")", spawned);
    error.code = error_code::kConnectFailed;
    return error;
  }

  const UniqueFd process = OpenProcess(pid);
  int status = 0;
  while (true) {
    const pid_t reaped = ::waitpid(pid, &status, WNOHANG);
    if (reaped == pid) break;
    // A program that ignores SIGCHLD or reaps every child leaves nothing to
    // see; whether a daemon serves shows when connecting.
    if (reaped < 0 && errno == ECHILD) return {};
    if (reaped < 0 && errno != EINTR) {
      return SystemError("waitpid(" + command + ")", errno);
    }
    if (deadline.Passed()) {
      ::kill(pid, SIGKILL);
      while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
      }
      Error error = StartFailed(command, "did not become ready in time");
      error.code = error_code::kTimeout;
      return error;
    }
    AwaitProcessEnd(process.get(), deadline);
  }
  if (WIFSIGNALED(status)) {
    return StartFailed(
        command, "was killed by signal " + std::to_string(WTERMSIG(status)));
  }
  const int code = WEXITSTATUS(status);
  if (code == 0 || code == kAnotherServes) return {};
  return StartFailed(command, "ended with exit code " + std::to_string(code));
}

}  // namespace forkserver
