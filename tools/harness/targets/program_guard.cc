#include "tools/harness/targets/program_guard.h"

namespace forkserver::harness {

Result<ProgramGuard> ProgramGuard::Begin(
    const std::vector<std::string>& paths) {
  ProgramGuard guard;
  if (auto added = guard.Add(paths); !added) return added.error();
  return guard;
}

Result<void> ProgramGuard::Add(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    auto identity = Identify(path);
    if (!identity) return identity.error();
    files_.emplace_back(path, *identity);
  }
  return {};
}

std::string ProgramGuard::DescribeChange() {
  if (!change_.empty()) return change_;
  for (const auto& [path, before] : files_) {
    const auto now = Identify(path);
    if (!now) {
      change_ = path + " was removed during the run";
    } else if (now->inode != before.inode || now->device != before.device) {
      change_ = path + " was replaced during the run";
    } else if (!(*now == before)) {
      change_ = path + " was changed during the run";
    } else {
      continue;
    }
    change_ += "; start the run again";
    return change_;
  }
  return {};
}

}  // namespace forkserver::harness
