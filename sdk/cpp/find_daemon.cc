#include "sdk/cpp/find_daemon.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>
#include <vector>

#include "sdk/process/platform.h"

namespace forkserver {
namespace {

constexpr char kProgram[] = "/forkserverd";

bool IsProgram(const std::string& path) {
  struct stat info = {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
         ::access(path.c_str(), X_OK) == 0;
}

std::vector<std::string> ProgramFolders() {
  std::vector<std::string> folders;
  if (const char* folder = std::getenv("FORKSERVER_BIN"); folder && *folder) {
    folders.emplace_back(folder);
  }
  if (const char* path = std::getenv("PATH")) {
    std::string_view rest(path);
    while (!rest.empty()) {
      const std::size_t colon = rest.find(':');
      // An empty part means the current folder; a daemon is not to be found
      // there by accident.
      if (colon != 0) folders.emplace_back(rest.substr(0, colon));
      rest.remove_prefix(colon == rest.npos ? rest.size() : colon + 1);
    }
  }
  const std::string self = ExecutablePath();
  if (const auto slash = self.rfind('/'); slash != std::string::npos) {
    folders.push_back(self.substr(0, slash));
  }
  if (const char* home = std::getenv("HOME"); home && *home) {
    folders.push_back(std::string(home) + "/.local/bin");
  }
  return folders;
}

}  // namespace

Result<std::string> FindDaemonProgram(const std::string& daemon_program) {
  if (!daemon_program.empty()) {
    if (IsProgram(daemon_program)) return daemon_program;
    return MakeError(error_code::kConnectFailed,
                     "the daemon program cannot be executed: " + daemon_program,
                     "correct ConnectOptions::daemon_program");
  }
  std::string looked;
  for (const std::string& folder : ProgramFolders()) {
    std::string path = folder + kProgram;
    if (IsProgram(path)) return path;
    looked += (looked.empty() ? "" : ", ") + folder;
    if (::access(path.c_str(), F_OK) == 0) {
      looked += " (where it cannot be executed)";
    }
  }
  return MakeError(error_code::kConnectFailed,
                   "no forkserverd was found; looked in " +
                       (looked.empty() ? "no folder" : looked),
                   "put forkserverd in PATH, or its folder in FORKSERVER_BIN");
}

}  // namespace forkserver
