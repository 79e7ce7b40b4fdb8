#include "sdk/process/socket_path.h"

#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace forkserver {
namespace {

constexpr char kInFolder[] = "/forkserver/default.sock";

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

bool IsFolderOfThisUser(const std::string& path) {
  struct stat info = {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode) &&
         info.st_uid == ::geteuid();
}

// The user's own temporary folder, which only macOS has; else empty.
std::string UserTemporaryFolder() {
#ifdef _CS_DARWIN_USER_TEMP_DIR
  char buffer[1024];
  const std::size_t size =
      ::confstr(_CS_DARWIN_USER_TEMP_DIR, buffer, sizeof(buffer));
  if (size <= 1 || size > sizeof(buffer)) return {};
  std::string folder(buffer);
  while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  return folder;
#else
  return {};
#endif
}

Error FolderError(const std::string& folder, const std::string& problem) {
  return MakeError(error_code::kSocketPath,
                   "the folder of the socket " + problem + ": " + folder,
                   "use a folder that only you can write to, with --socket "
                   "or FORKSERVER_SOCKET");
}

std::string FolderOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

std::string FindSocketPath(const std::string& explicit_path) {
  if (!explicit_path.empty()) return explicit_path;
  if (std::string path = Environment("FORKSERVER_SOCKET"); !path.empty()) {
    return path;
  }
  return SessionSocketPath();
}

std::string SessionSocketPath() {
  // The XDG base directory specification: a relative path is to be ignored.
  if (const std::string folder = Environment("XDG_RUNTIME_DIR");
      !folder.empty() && folder.front() == '/') {
    return folder + kInFolder;
  }
  const std::string user = std::to_string(::geteuid());
  if (const std::string folder = "/run/user/" + user;
      IsFolderOfThisUser(folder)) {
    return folder + kInFolder;
  }
  if (const std::string folder = UserTemporaryFolder(); !folder.empty()) {
    return folder + kInFolder;
  }
  return "/tmp/forkserver-" + user + "/default.sock";
}

Result<void> PrepareSocketFolder(const std::string& socket_path) {
  const std::string folder = FolderOf(socket_path);
  if (::mkdir(folder.c_str(), 0700) == 0) return {};
  if (errno != EEXIST) return SystemError("mkdir(" + folder + ")", errno);

  struct stat info = {};
  if (::lstat(folder.c_str(), &info) < 0) {
    return SystemError("lstat(" + folder + ")", errno);
  }
  // In a shared folder such as /tmp another user may have put a link here
  // that leads to a folder of ours. A link of our own is what we asked for.
  if (S_ISLNK(info.st_mode) && info.st_uid == ::geteuid() &&
      ::stat(folder.c_str(), &info) < 0) {
    return SystemError("stat(" + folder + ")", errno);
  }
  if (info.st_uid != ::geteuid()) {
    return FolderError(folder, "belongs to user " +
                                   std::to_string(info.st_uid) + ", not to " +
                                   std::to_string(::geteuid()));
  }
  if (!S_ISDIR(info.st_mode)) return FolderError(folder, "is not a folder");
  if ((info.st_mode & 022) != 0) {
    char mode[8];
    std::snprintf(mode, sizeof(mode), "%04o",
                  static_cast<unsigned>(info.st_mode & 07777));
    return FolderError(
        folder, "can be written by others (mode " + std::string(mode) + ")");
  }
  return {};
}

}  // namespace forkserver
