#include "tools/forkserver/find_daemon.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>
#include <vector>

#include "sdk/process/platform.h"

namespace forkserver::cli {
namespace {

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool IsProgram(const std::string& path) {
  struct stat info = {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
         ::access(path.c_str(), X_OK) == 0;
}

}  // namespace

Result<std::string> FindDaemon() {
  std::vector<std::string> folders = {Variable("FORKSERVER_BIN")};
  std::istringstream path(Variable("PATH"));
  for (std::string folder; std::getline(path, folder, ':');) {
    folders.push_back(folder);
  }
  const std::string self = ExecutablePath();
  folders.push_back(self.substr(0, self.find_last_of('/') + 1));
  if (const std::string home = Variable("HOME"); !home.empty()) {
    folders.push_back(home + "/.local/bin");
  }
  std::string looked;
  for (const std::string& folder : folders) {
    if (folder.empty()) continue;
    std::string program = folder + "/forkserverd";
    if (IsProgram(program)) return program;
    looked += (looked.empty() ? "" : ", ") + folder;
  }
  return MakeError(error_code::kConnectFailed,
                   "no forkserverd was found; looked in " + looked,
                   "put forkserverd in PATH, or its folder in FORKSERVER_BIN");
}

}  // namespace forkserver::cli
