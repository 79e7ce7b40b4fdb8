// Writes and removes the files of a LoginSetup, and prints each change, or
// with `dry_run` prints what it would change and changes nothing. Blocks as
// the file system does. Files and links that `forkserver enable` did not make
// are left alone.
#pragma once

#include <forkserver/result.h>

#include "tools/forkserver/login_setup.h"

namespace forkserver::cli {

class LoginChanges {
 public:
  explicit LoginChanges(bool dry_run) : dry_run_(dry_run) {}

  // Each file is replaced in one step. Error "bad_request", before anything
  // is changed, if somebody else's file or link is in the way.
  Result<void> Apply(const LoginSetup& setup);

  // The paths of `setup`, and the folders of its links that are empty then.
  Result<void> Remove(const LoginSetup& setup);

  // Something was written or removed, or would have been.
  bool changed() const { return changed_; }

 private:
  Result<void> CheckWhatIsThere(const LoginSetup& setup) const;
  Result<void> Write(const LoginFile& file);
  Result<void> Link(const LoginLink& link);
  Result<void> Unlink(const std::string& path);
  void Say(const char* done, const char* would, const std::string& what);

  bool dry_run_;
  bool changed_ = false;
};

}  // namespace forkserver::cli
