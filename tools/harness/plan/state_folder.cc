#include "tools/harness/plan/state_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "sdk/base/unique_fd.h"
#include "tools/harness/plan/stable_hash.h"

namespace forkserver::harness {

Result<std::string> StateFolder(const std::string& root) {
  std::string folder;
  const char* const cache = std::getenv("XDG_CACHE_HOME");
  const char* const home = std::getenv("HOME");
  if (cache != nullptr && *cache == '/') {
    folder = cache;
  } else if (home != nullptr && *home == '/') {
    folder = std::string(home) + "/.cache";
  } else {
    return std::string();
  }
  folder += "/forkserver/tests/" + StableDigest(root);
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  if (failure) {
    return SystemError("mkdir(" + folder + ")", failure.value());
  }
  return folder;
}

Result<void> ReplaceFile(const std::string& path, std::string_view text) {
  const std::string temporary = path + "." + std::to_string(::getpid());
  {
    const UniqueFd file(::open(temporary.c_str(),
                               O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!file) return SystemError("open(" + temporary + ")", errno);
    while (!text.empty()) {
      const ssize_t size = ::write(file.get(), text.data(), text.size());
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) {
        const int error_number = errno;
        ::unlink(temporary.c_str());
        return SystemError("write(" + temporary + ")", error_number);
      }
      text.remove_prefix(static_cast<std::size_t>(size));
    }
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const int error_number = errno;
    ::unlink(temporary.c_str());
    return SystemError("rename(" + path + ")", error_number);
  }
  return {};
}

Result<std::string> ReadTextFile(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file && errno == ENOENT) return std::string();
  if (!file) return SystemError("open(" + path + ")", errno);
  std::string text;
  char buffer[64u << 10];
  for (;;) {
    const ssize_t size = ::read(file.get(), buffer, sizeof(buffer));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return SystemError("read(" + path + ")", errno);
    if (size == 0) return text;
    text.append(buffer, static_cast<std::size_t>(size));
  }
}

}  // namespace forkserver::harness
