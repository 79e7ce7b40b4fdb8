// What the launches have in common: their errors, and the descriptors that the
// daemon adds to those of a request.
#pragma once

#include <fcntl.h>
#include <forkserver/result.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <string>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/protocol/messages.h"

namespace forkserver::server {

// As PrepareChildPlan checks.
inline constexpr std::int64_t kMaxChildFd = 65535;

// "launch_failed" of the daemon's own part, or "descriptor_limit".
inline Error LaunchError(const std::string& step, const Error& cause) {
  const bool none_left =
      cause.error_number == EMFILE || cause.error_number == ENFILE;
  Error error =
      none_left
          ? MakeError(error_code::kDescriptorLimit,
                      "forkserverd has no descriptor left: " + cause.message,
                      "end workers or clients, or raise the hard limit "
                      "of open files")
          : MakeError(error_code::kLaunchFailed, cause.message, cause.hint);
  error.step = step;
  error.error_number = cause.error_number;
  return error;
}

inline Result<std::vector<UniqueFd>> Duplicate(
    const std::vector<UniqueFd>& fds) {
  std::vector<UniqueFd> all;
  for (const UniqueFd& fd : fds) {
    all.emplace_back(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
    if (!all.back()) return LaunchError("dup", SystemError("fcntl()", errno));
  }
  return all;
}

// Above every number that the set-up places something at.
inline std::int64_t FirstFreeNumber(const protocol::Setup& setup) {
  std::int64_t next = 3;
  for (const protocol::FdPlacement& placement : setup.fds) {
    // Numbers out of range are refused when the set-up is checked.
    next = std::max(next, std::min(placement.child_fd, kMaxChildFd) + 1);
  }
  return next;
}

}  // namespace forkserver::server
