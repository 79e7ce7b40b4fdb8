// Reads the log of a service: its file and those that were rotated, the oldest
// first, and what is added to them later, across rotations. The daemon is not
// asked.
//
// Passive: whoever follows a log calls Read() again after a moment (Linux
// would tell of changes, other systems would not). Blocks as files do. Memory
// is bounded by one line, and the lines of `last_lines`.
#pragma once

#include <forkserver/result.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/log/line_splitter.h"
#include "sdk/log/log_line.h"

namespace forkserver::cli {

// A duration ("10m") before `now_us`, or a time in UTC: "2026-11-22",
// "2026-11-22T16:33", "2026-11-22 16:33:26", with or without fraction and Z.
Result<std::int64_t> ParseSince(const std::string& text, std::int64_t now_us);

struct LogSelection {
  // From the first line on that is not older. Later lines are shown whatever
  // their time is: the clock may have been set back.
  std::optional<std::int64_t> since_us;
  // No more than so many of those that are there at the first Read().
  std::optional<std::size_t> last_lines;
};

class LogReader {
 public:
  LogReader(std::string path, LogSelection selection);

  // Calls `show` for every line that is there and was not there before. A line
  // that is still being written is not. What is no line of a log, because
  // somebody else wrote it, is shown as one of the stream `log`, with the time
  // of the line before. The error is that of opening the file when there has
  // not been one yet.
  using Show = std::function<void(const LogLine&)>;
  Result<void> Read(const Show& show);

 private:
  struct File {
    UniqueFd fd;
    dev_t device = 0;
    ino_t inode = 0;
    off_t offset = 0;
    bool IsSameAs(const File& other) const {
      return fd && other.fd && device == other.device && inode == other.inode;
    }
  };
  static Result<File> Open(const std::string& path);
  // Than file_, the oldest first.
  Result<std::vector<File>> OpenNewerFiles() const;
  // The newest first.
  Result<std::vector<File>> ListNewerFiles() const;
  bool IsNewest(const File& file) const;
  std::string NameOf(int number) const;
  Result<void> ReadToEnd(const Show& show);
  void ShowPiece(std::string_view piece, bool continued, const Show& show);
  void ShowSelected(LogLine line, const Show& show);

  std::string path_;
  LogSelection selection_;
  File file_;  // what is read at the moment
  LineSplitter splitter_{kMaxLogPrefixBytes + kMaxLogTextBytes};
  std::int64_t last_time_us_ = 0;
  std::deque<LogLine> last_lines_;  // of the first Read()
};

}  // namespace forkserver::cli
