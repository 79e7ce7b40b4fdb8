// One log file: appended to, rotated by size, PATH to PATH.1 to PATH.2 ...
//
// Blocks as long as the disk does. Nothing is thrown away silently: lines that
// could not be written are counted, and the next time that something can be
// written a line of the stream `log` says how many and why.
//
// Several objects, in several processes, can write one path: each append and
// rotation is done under a lock of the file (flock). Where the filesystem has
// none, two that rotate at the same moment can lose an old file.
//
// What others do to the file is noticed with the next lines: removed or
// replaced, it is made again; truncated, it goes on from there. A line
// that the end of a process has torn is left as it is, and the next one begins
// behind it.
#pragma once

#include <forkserver/result.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "sdk/base/unique_fd.h"

namespace forkserver::server {

class LogFile {
 public:
  struct Limits {
    // A file is not made larger than that, unless a single line is.
    std::int64_t max_bytes = 0;
    std::int64_t files = 1;  // that are kept, PATH itself included; at least 1
  };
  LogFile(std::string path, Limits limits);

  void set_limits(Limits limits) { limits_ = limits; }

  // Appends whole lines, each with its newline; none: only opens the file, and
  // says what is to be said of lost lines. The error is that of the first line
  // that could not be written; it and all behind it are lost. `time` is of
  // FormatLogTime, for a line of our own.
  Result<void> Append(std::string_view lines, std::string_view time);

  // Lines lost since the beginning.
  std::int64_t lost() const { return lost_; }

 private:
  // Removes from `lines` what is in the file.
  Result<void> Write(std::string_view& lines);
  Result<void> WriteUnderLock(std::string_view& lines);
  // Opens the file if there is none, or another one is at the path, and locks
  // it.
  Result<void> OpenAndLock();
  Result<void> Open();
  bool IsStillAtPath() const;
  Result<void> Rotate();

  std::string path_;
  Limits limits_;
  UniqueFd fd_;
  std::int64_t lost_ = 0;
  std::int64_t untold_ = 0;  // of these, those that no line has told of
  std::string why_;
};

}  // namespace forkserver::server
