#include <utility>

#include "server/launch/cgroups.h"

namespace forkserver::server {

Cgroups Cgroups::Claim() { return Cgroups(); }
Cgroups::Cgroups(Cgroups&& other) noexcept = default;
Cgroups::~Cgroups() = default;

Cgroups Cgroups::Resume(protocol::HandedCgroups) { return Cgroups(); }
protocol::HandedCgroups Cgroups::WriteDown() const { return {}; }

std::string Cgroups::ControlFile() const { return {}; }
void Cgroups::TakeLimits(const std::string&) {}

Result<UniqueFd> Cgroups::Make(ProcessKey, const CgroupLimits&) {
  return MakeError(error_code::kUnsupported,
                   "limits of memory, tasks and CPU time: " + why_not_);
}

std::vector<pid_t> Cgroups::Members(ProcessKey) const { return {}; }
bool Cgroups::Kill(ProcessKey) const { return false; }
std::int64_t Cgroups::CountOomKills(ProcessKey) const { return 0; }
void Cgroups::Remove(ProcessKey) {}

}  // namespace forkserver::server
