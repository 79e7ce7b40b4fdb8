// Ids of workers and zygotes: "<instance>-<number>". The instance differs
// between any two runs of the daemon on one socket, so an id never repeats.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "server/launch/launch_event.h"

namespace forkserver::server {

class WorkerIds {
 public:
  // `instance` from MakeInstance.
  // `last`: the number that was given out last.
  explicit WorkerIds(std::string instance, ProcessKey last = 0)
      : instance_(std::move(instance)), last_(last) {}

  // Milliseconds since 2025 as eight letters and digits; later than
  // `previous`, whatever the clock says.
  static std::string MakeInstance(std::int64_t unix_ms,
                                  std::string_view previous);

  ProcessKey Next() { return ++last_; }
  ProcessKey last() const { return last_; }
  std::string IdOf(ProcessKey key) const {
    return instance_ + "-" + std::to_string(key);
  }
  // nullopt when the id is not of this run, or was not given out yet.
  std::optional<ProcessKey> KeyOf(std::string_view id) const;
  // True for an id that another run of a daemon may have given out.
  bool IsOfAnotherRun(std::string_view id) const;
  const std::string& instance() const { return instance_; }

 private:
  std::string instance_;
  ProcessKey last_;
};

}  // namespace forkserver::server
