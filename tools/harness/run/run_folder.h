// The folder of one run: its slots' files, and the socket of a private
// daemon. Gone with this object. What runs left that were killed is removed
// when the next one makes its folder.
#pragma once

#include <forkserver/result.h>

#include <string>

#include "sdk/base/unique_fd.h"

namespace forkserver::harness {

class RunFolder {
 public:
  // Below `parent`, which exists; below /tmp if a socket's path would not fit.
  static Result<RunFolder> Make(const std::string& parent);
  RunFolder(RunFolder&& other) noexcept;
  RunFolder& operator=(RunFolder&&) = delete;
  ~RunFolder();

  const std::string& path() const { return path_; }

 private:
  RunFolder(std::string path, UniqueFd lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}

  std::string path_;
  UniqueFd lock_;  // held as long as the run lives
};

}  // namespace forkserver::harness
