#include "server/logging.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <ctime>

#include "sdk/base/unique_fd.h"

namespace forkserver::server {
namespace {

constexpr off_t kRotateBytes = off_t{1} << 20;

struct LogState {
  LogLevel level = LogLevel::kInfo;
  UniqueFd file;
  std::string path;
  off_t size = 0;
};

LogState& State() {
  static LogState state;
  return state;
}

const char* NameOf(LogLevel level) {
  switch (level) {
    case LogLevel::kError:
      return "error";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kDebug:
      return "debug";
  }
  return "";
}

Result<void> OpenFile(LogState& state) {
  state.file.Reset(
      ::open(state.path.c_str(),
             O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!state.file) return SystemError("open(" + state.path + ")", errno);
  struct stat status = {};
  state.size = ::fstat(state.file.get(), &status) == 0 ? status.st_size : 0;
  return {};
}

}  // namespace

bool ParseLogLevel(const std::string& name, LogLevel& level) {
  for (const LogLevel one : {LogLevel::kError, LogLevel::kWarning,
                             LogLevel::kInfo, LogLevel::kDebug}) {
    if (name != NameOf(one)) continue;
    level = one;
    return true;
  }
  return false;
}

void SetLogLevel(LogLevel level) { State().level = level; }

Result<void> LogToFile(const std::string& path) {
  State().path = path;
  return OpenFile(State());
}

bool LogEnabled(LogLevel level) { return level <= State().level; }

void Log(LogLevel level, const std::string& message) {
  if (!LogEnabled(level)) return;
  LogState& state = State();
  timespec now = {};
  ::clock_gettime(CLOCK_REALTIME, &now);
  tm parts = {};
  ::gmtime_r(&now.tv_sec, &parts);
  char prefix[64];
  const std::size_t date =
      std::strftime(prefix, sizeof(prefix), "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(prefix + date, sizeof(prefix) - date, ".%03dZ %-7s ",
                static_cast<int>(now.tv_nsec / 1'000'000), NameOf(level));
  std::string line = prefix;
  // One message is one line, whatever a client put into it.
  for (const char byte : message) line += byte == '\n' ? ' ' : byte;
  line += '\n';
  const int fd = state.file ? state.file.get() : STDERR_FILENO;
  // A log that cannot be written (full disk) is not worth dying for, and one
  // that nobody reads (a full pipe) is not worth waiting for.
  pollfd writable = {fd, POLLOUT, 0};
  if (::poll(&writable, 1, 0) != 1) return;
  if (::write(fd, line.data(), line.size()) < 0) return;
  if (!state.file) return;
  state.size += static_cast<off_t>(line.size());
  if (state.size < kRotateBytes) return;
  ::rename(state.path.c_str(), (state.path + ".old").c_str());
  if (!OpenFile(state)) state.path.clear();
}

}  // namespace forkserver::server
