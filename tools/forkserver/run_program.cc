#include "tools/forkserver/run_program.h"

#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>

#include "sdk/process/platform.h"
#include "tools/forkserver/exit_codes.h"

namespace forkserver::cli {

Result<int> RunProgram(std::vector<std::string> words) {
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  const int spawned = ::posix_spawnp(&pid, argv.front(), nullptr, nullptr,
                                     argv.data(), OwnEnvironment());
  if (spawned != 0) {
    return SystemError("posix_spawn(" + words.front() + ")", spawned);
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) {
      return SystemError("waitpid(" + words.front() + ")", errno);
    }
  }
  return WIFEXITED(status) ? WEXITSTATUS(status)
                           : kSignalBase + WTERMSIG(status);
}

}  // namespace forkserver::cli
