#include "sdk/base/text_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "sdk/base/unique_fd.h"

namespace forkserver {

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

}  // namespace forkserver
