// A file that an option of `forkserver test` names, and that a report is
// written to. Blocks as files do.
//
// The first error is kept: nothing is written after it, so that what is there
// stays as it was.
#pragma once

#include <forkserver/result.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sdk/base/unique_fd.h"

namespace forkserver::harness {

class ReportFile {
 public:
  // Creates `path` with these contents, or replaces what is there in one step:
  // whoever reads it sees the old or the new one. A device or a pipe is opened,
  // which blocks until somebody reads from the pipe; nothing is written to it
  // yet. Errors name option and path, and say what to do.
  static Result<ReportFile> Create(std::string option, const std::string& path,
                                   std::string_view contents);
  ReportFile(ReportFile&&) = default;
  ReportFile& operator=(ReportFile&&) = default;
  ~ReportFile() = default;

  // False: it can only be appended to.
  bool seekable() const { return seekable_; }
  // Of what was written; grows with Append and WriteAt.
  std::uint64_t size() const { return size_; }

  // True: written. False: it could not be, now or before.
  bool Append(std::string_view text);
  bool WriteAt(std::uint64_t offset, std::string_view text);
  // After an error: the file ends with `text` at `offset`, which needs no more
  // room than there was, as far as that can still be done.
  void CutBack(std::uint64_t offset, std::string_view text);
  // What was written, or nothing if it cannot be read back.
  std::optional<std::string> ReadAt(std::uint64_t offset,
                                    std::uint64_t size) const;

  // A second file that will take the place of this one. Its errors become those
  // of this file; not finished, it is removed and this one stays.
  class Replacement;

  const std::optional<Error>& error() const { return error_; }
  const std::string& path() const { return path_; }

 private:
  ReportFile() = default;
  void Fail(std::string operation, int error_number);

  std::string option_;
  std::string path_;    // as given
  std::string target_;  // where it leads, for replacing
  UniqueFd fd_;
  bool seekable_ = false;
  std::uint64_t size_ = 0;
  std::optional<Error> error_;
};

class ReportFile::Replacement {
 public:
  explicit Replacement(ReportFile& original);
  Replacement(const Replacement&) = delete;
  Replacement& operator=(const Replacement&) = delete;
  ~Replacement();

  bool Append(std::string_view text);
  // It is the file now, if everything could be written.
  bool Finish();

 private:
  ReportFile& original_;
  std::string path_;
  UniqueFd fd_;
};

}  // namespace forkserver::harness
