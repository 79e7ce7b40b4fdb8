// A reporter that writes to a file, which may fail in the middle of a run.
#pragma once

#include <forkserver/error.h>

#include <optional>

#include "tools/harness/model/reporter.h"

namespace forkserver::harness {

class FileReporter : public Reporter {
 public:
  // Set from the moment on at which the file could not be written. Events are
  // taken after that too, without effect.
  virtual const std::optional<Error>& error() = 0;
};

}  // namespace forkserver::harness
