#include "tools/forkserver/log_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "tools/forkserver/values.h"

namespace forkserver::cli {
namespace {

constexpr std::size_t kReadBytes = std::size_t{64} << 10;
// How often files are listed anew because they were rotated meanwhile.
constexpr int kMaxListings = 100;
constexpr std::string_view kMidnight = "0000-00-00T00:00:00.000000Z";

// Where a time may end.
bool IsWholeTime(std::size_t size) {
  return size == 10 || size == 16 || size == 19 || (size > 20 && size <= 26);
}

}  // namespace

Result<std::int64_t> ParseSince(const std::string& text, std::int64_t now_us) {
  if (const auto duration = ParseDuration(text)) {
    return now_us - duration->count() * 1000;
  }
  std::string time = text;
  if (time.ends_with('Z')) time.pop_back();
  if (IsWholeTime(time.size())) {
    if (time.size() > 10 && time[10] == ' ') time[10] = 'T';
    time += kMidnight.substr(time.size());
    if (const auto time_us = ParseLogTime(time)) return *time_us;
  }
  return MakeError(error_code::kBadRequest,
                   "'" + text +
                       "' is neither a duration like 10m nor a time like "
                       "2026-11-22T16:33:26Z");
}

LogReader::LogReader(std::string path, LogSelection selection)
    : path_(std::move(path)), selection_(selection) {}

Result<void> LogReader::Read(const Show& show) {
  if (file_.fd) {
    if (auto read = ReadToEnd(show); !read) return read.error();
  }
  Result<std::vector<File>> newer = OpenNewerFiles();
  if (!newer) return newer.error();
  for (File& next : *newer) {
    if (file_.fd) {
      // Nothing is added to it any more, but may have been just before.
      if (auto read = ReadToEnd(show); !read) return read.error();
      splitter_.Finish([&](std::string_view piece, bool continued) {
        ShowPiece(piece, continued, show);
      });
    }
    file_ = std::move(next);
    if (auto read = ReadToEnd(show); !read) return read.error();
  }
  for (const LogLine& line : last_lines_) show(line);
  last_lines_.clear();
  selection_.last_lines.reset();
  return {};
}

Result<LogReader::File> LogReader::Open(const std::string& path) {
  File file;
  // Non-blocking for what turns out to be no file.
  file.fd = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status = {};
  if (!file.fd || ::fstat(file.fd.get(), &status) != 0) {
    return SystemError("open(" + path + ")", errno);
  }
  if (!S_ISREG(status.st_mode)) {
    return MakeError(error_code::kBadRequest, path + " is no regular file");
  }
  file.device = status.st_dev;
  file.inode = status.st_ino;
  return file;
}

Result<std::vector<LogReader::File>> LogReader::OpenNewerFiles() const {
  for (int i = 0; i < kMaxListings; ++i) {
    Result<std::vector<File>> files = ListNewerFiles();
    if (!files) return files.error();
    if (files->empty() || IsNewest(files->front())) {
      std::reverse(files->begin(), files->end());
      return files;
    }
    // A file may have been shown twice, and another in the wrong place.
  }
  if (file_.fd) return std::vector<File>();  // the next time, perhaps
  return MakeError(error_code::kSystem, path_ + " is rotated all the time");
}

// Right if no rotation was completed meanwhile. One that has begun moves files
// to higher numbers: the newest is opened first, so that none is missed. In
// the middle of it one name is missing.
Result<std::vector<LogReader::File>> LogReader::ListNewerFiles() const {
  std::vector<File> files;
  std::optional<Error> first_error;
  for (int number = 0, missing = 0; missing < 2; ++number) {
    Result<File> file = Open(NameOf(number));
    if (!file) {
      if (!first_error) first_error = std::move(file).error();
      ++missing;
      continue;
    }
    missing = 0;
    if (file->IsSameAs(file_)) break;
    const bool seen = !files.empty() && file->IsSameAs(files.back());
    if (!seen) files.push_back(std::move(*file));
  }
  if (files.empty() && !file_.fd) return std::move(*first_error);
  return files;
}

bool LogReader::IsNewest(const File& file) const {
  for (const int number : {0, 1}) {
    const Result<File> there = Open(NameOf(number));
    if (there) return there->IsSameAs(file);
  }
  return false;
}

std::string LogReader::NameOf(int number) const {
  return number == 0 ? path_ : path_ + "." + std::to_string(number);
}

Result<void> LogReader::ReadToEnd(const Show& show) {
  struct stat status = {};
  // Somebody has truncated it.
  if (::fstat(file_.fd.get(), &status) == 0 && status.st_size < file_.offset) {
    file_.offset = 0;
  }
  std::vector<char> bytes(kReadBytes);
  for (;;) {
    const ssize_t size =
        ::pread(file_.fd.get(), bytes.data(), bytes.size(), file_.offset);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return SystemError("read(" + path_ + ")", errno);
    if (size == 0) return {};
    file_.offset += size;
    splitter_.Feed({bytes.data(), static_cast<std::size_t>(size)},
                   [&](std::string_view piece, bool continued) {
                     ShowPiece(piece, continued, show);
                   });
  }
}

void LogReader::ShowPiece(std::string_view piece, bool continued,
                          const Show& show) {
  std::optional<LogLine> line = ParseLogLine(piece);
  if (!line) {
    line =
        LogLine{last_time_us_, LogStream::kLog, continued, std::string(piece)};
  }
  last_time_us_ = line->time_us;
  ShowSelected(std::move(*line), show);
}

void LogReader::ShowSelected(LogLine line, const Show& show) {
  if (selection_.since_us) {
    if (line.time_us < *selection_.since_us) return;
    selection_.since_us.reset();
  }
  if (!selection_.last_lines) return show(line);
  last_lines_.push_back(std::move(line));
  if (last_lines_.size() > *selection_.last_lines) last_lines_.pop_front();
}

}  // namespace forkserver::cli
