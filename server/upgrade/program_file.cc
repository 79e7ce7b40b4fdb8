#include "server/upgrade/program_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <string>
#include <vector>

#include "sdk/process/exec_launch.h"
#include "sdk/process/platform.h"
#include "server/upgrade/execute_fd.h"

namespace forkserver::server {
namespace {

std::string Describe(const struct stat& info) {
#ifdef __APPLE__
  const timespec& written = info.st_mtimespec;
  const timespec& changed = info.st_ctimespec;
#else
  const timespec& written = info.st_mtim;
  const timespec& changed = info.st_ctim;
#endif
  std::string text;
  for (const auto number : {static_cast<long long>(info.st_dev),
                            static_cast<long long>(info.st_ino),
                            static_cast<long long>(info.st_size),
                            static_cast<long long>(written.tv_sec),
                            static_cast<long long>(written.tv_nsec),
                            static_cast<long long>(changed.tv_sec),
                            static_cast<long long>(changed.tv_nsec)}) {
    text += (text.empty() ? "" : ":") + std::to_string(number);
  }
  return text;
}

}  // namespace

std::string StartedAs(const std::string& argv0) {
  std::vector<std::string> environment;
  for (const char* const* one = OwnEnvironment(); *one != nullptr; ++one) {
    environment.emplace_back(*one);
  }
  const auto own = OwnIdentity();
  for (std::string path : FindCandidates(argv0, environment)) {
    if (path.front() != '/') {
      char folder[PATH_MAX];
      if (::getcwd(folder, sizeof(folder)) == nullptr) continue;
      path = std::string(folder) + "/" + path;
    }
    const auto found = IdentityOf(path);
    if (own && found && *own == *found) return path;
  }
  return ExecutablePath();
}

Result<std::string> IdentityOf(const std::string& path) {
  struct stat info = {};
  if (::stat(path.c_str(), &info) != 0) {
    return SystemError("stat(" + path + ")", errno);
  }
  if (!S_ISREG(info.st_mode)) {
    return MakeError(error_code::kUpgradeFailed, path + " is not a file");
  }
  if (::access(path.c_str(), X_OK) != 0) {
    return SystemError("access(" + path + ", X_OK)", errno);
  }
  return Describe(info);
}

Result<std::string> OwnIdentity() {
  const UniqueFd own = OpenOwnProgram();
  struct stat info = {};
  if (::fstat(own.get(), &info) != 0) {
    return SystemError("fstat(own program)", errno);
  }
  return Describe(info);
}

}  // namespace forkserver::server
