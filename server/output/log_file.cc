#include "server/output/log_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <utility>

#include "sdk/log/log_line.h"

namespace forkserver::server {
namespace {

// Others may rotate just before we have the lock, but not for ever.
constexpr int kMaxOpenings = 100;

class Lock {
 public:
  explicit Lock(int fd) : fd_(fd) {}
  ~Lock() { ::flock(fd_, LOCK_UN); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  int fd_;
};

// As many whole lines as have room, but one at least.
std::string_view FirstLines(std::string_view lines, std::int64_t room) {
  std::size_t end = std::string_view::npos;
  if (room > 0) end = lines.rfind('\n', static_cast<std::size_t>(room) - 1);
  if (end == std::string_view::npos) end = lines.find('\n');
  return lines.substr(0, end + 1);
}

bool EndsInsideLine(int fd, std::int64_t size) {
  char last = '\n';
  return size > 0 && ::pread(fd, &last, 1, size - 1) == 1 && last != '\n';
}

// Returns the errno, or 0; `written` is what is in the file in either case.
int WriteAll(int fd, std::string_view bytes, std::size_t& written) {
  written = 0;
  while (written < bytes.size()) {
    const ssize_t size =
        ::write(fd, bytes.data() + written, bytes.size() - written);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return errno;
    written += static_cast<std::size_t>(size);
  }
  return 0;
}

}  // namespace

LogFile::LogFile(std::string path, Limits limits)
    : path_(std::move(path)), limits_(limits) {}

Result<void> LogFile::Append(std::string_view lines, std::string_view time) {
  Result<void> outcome;
  if (untold_ > 0) {
    std::string report;
    AppendLogLine(report, time, LogStream::kLog, false,
                  std::to_string(untold_) + " lines were lost: " + why_);
    std::string_view rest = report;
    outcome = Write(rest);
    if (outcome) untold_ = 0;
  }
  // With no lines it only opens the file.
  if (outcome) outcome = Write(lines);
  if (!outcome) {
    const std::int64_t lines_lost =
        std::count(lines.begin(), lines.end(), '\n');
    lost_ += lines_lost;
    untold_ += lines_lost;
    why_ = outcome.error().message;
  }
  return outcome;
}

Result<void> LogFile::Write(std::string_view& lines) {
  do {
    if (auto opened = OpenAndLock(); !opened) return opened.error();
    const Lock lock(fd_.get());
    if (auto written = WriteUnderLock(lines); !written) return written.error();
  } while (!lines.empty());
  return {};
}

Result<void> LogFile::WriteUnderLock(std::string_view& lines) {
  struct stat status = {};
  if (::fstat(fd_.get(), &status) != 0) {
    return SystemError("fstat(" + path_ + ")", errno);
  }
  std::size_t written = 0;
  if (EndsInsideLine(fd_.get(), status.st_size)) {
    if (const int number = WriteAll(fd_.get(), "\n", written); number != 0) {
      return SystemError("write(" + path_ + ")", number);
    }
    ++status.st_size;
  }
  if (lines.empty()) return {};
  const std::int64_t room = limits_.max_bytes - status.st_size;
  const std::string_view batch = FirstLines(lines, room);
  if (status.st_size > 0 && static_cast<std::int64_t>(batch.size()) > room) {
    return Rotate();
  }
  const int number = WriteAll(fd_.get(), batch, written);
  if (number == 0) {
    lines.remove_prefix(batch.size());
    return {};
  }
  // Without the line that is there in part. If that fails its end is marked
  // before the next one.
  const std::size_t whole = batch.substr(0, written).rfind('\n') + 1;
  if (::ftruncate(fd_.get(), status.st_size + static_cast<off_t>(whole)) != 0) {
    return SystemError("ftruncate(" + path_ + ")", errno);
  }
  lines.remove_prefix(whole);
  return SystemError("write(" + path_ + ")", number);
}

Result<void> LogFile::OpenAndLock() {
  for (int opening = 0; opening < kMaxOpenings; ++opening) {
    if (!fd_) {
      if (auto opened = Open(); !opened) return opened.error();
    }
    // Filesystems without locks are written without.
    while (::flock(fd_.get(), LOCK_EX) != 0 && errno == EINTR) {
    }
    if (IsStillAtPath()) return {};
    fd_.Reset();
  }
  return MakeError(error_code::kSystem, path_ + " is replaced all the time");
}

Result<void> LogFile::Open() {
  // Non-blocking for what turns out to be no file.
  UniqueFd fd(::open(
      path_.c_str(),
      O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
  if (!fd) return SystemError("open(" + path_ + ")", errno);
  struct stat status = {};
  if (::fstat(fd.get(), &status) != 0) {
    return SystemError("fstat(" + path_ + ")", errno);
  }
  if (!S_ISREG(status.st_mode)) {
    return MakeError(error_code::kBadRequest, path_ + " is no regular file");
  }
  fd_ = std::move(fd);
  return {};
}

bool LogFile::IsStillAtPath() const {
  struct stat ours = {};
  struct stat there = {};
  return ::fstat(fd_.get(), &ours) == 0 &&
         ::lstat(path_.c_str(), &there) == 0 && ours.st_dev == there.st_dev &&
         ours.st_ino == there.st_ino;
}

Result<void> LogFile::Rotate() {
  const auto name = [this](std::int64_t number) {
    return number == 0 ? path_ : path_ + "." + std::to_string(number);
  };
  // Of a time when more were kept.
  std::int64_t number = limits_.files;
  while (::unlink(name(number).c_str()) == 0) ++number;
  if (limits_.files == 1) {
    if (::unlink(path_.c_str()) != 0) {
      return SystemError("unlink(" + path_ + ")", errno);
    }
    return {};
  }
  // From the first name that is free on, or the last.
  number = 1;
  while (number < limits_.files - 1 &&
         ::access(name(number).c_str(), F_OK) == 0) {
    ++number;
  }
  for (; number > 0; --number) {
    const std::string from = name(number - 1);
    const std::string to = name(number);
    if (std::rename(from.c_str(), to.c_str()) != 0) {
      return SystemError("rename(" + from + ", " + to + ")", errno);
    }
  }
  return {};
}

}  // namespace forkserver::server
