#include "server/supervisor/zygote_registry.h"

#include <utility>

namespace forkserver::server {
namespace {

// A project takes over none that is not its own.
Result<void> CheckProject(const protocol::ZygoteStart& request,
                          const Zygote& existing) {
  const std::string& owner = existing.identity.project;
  if (request.project.empty() || request.project == owner) return {};
  return MakeError(
      error_code::kZygoteConflict,
      "there is a zygote '" + request.name + "' already, " +
          (owner.empty() ? "which belongs to no project"
                         : "which belongs to " + owner),
      "call it otherwise, or `forkserver zygote stop " + request.name + "`");
}

}  // namespace

Error ZygoteRegistry::UnknownZygote(const std::string& name) {
  return MakeError(error_code::kUnknownZygote,
                   "there is no zygote '" + name + "'",
                   "see `forkserver zygote ls`, or start it");
}

Zygote* ZygoteRegistry::FindByName(const std::string& name) {
  const auto found = names_.find(name);
  return found == names_.end() ? nullptr : Find(found->second);
}

Zygote* ZygoteRegistry::Find(ProcessKey key) {
  const auto found = zygotes_.find(key);
  return found == zygotes_.end() ? nullptr : &found->second;
}

Result<ZygoteRegistry::StartPlan> ZygoteRegistry::PlanStart(
    const protocol::ZygoteStart& request, const ZygoteIdentity& identity) {
  const auto bad = [](std::string message) {
    return MakeError(error_code::kBadRequest, std::move(message));
  };
  if (request.name.empty() || request.name.size() > protocol::kMaxNameBytes) {
    return bad("'zygote_start.name' must have 1.." +
               std::to_string(protocol::kMaxNameBytes) + " bytes");
  }
  if (request.name.find('\0') != std::string::npos) {
    return bad("'zygote_start.name' holds a NUL byte");
  }
  if (request.parent.empty() && identity.argv.empty()) {
    return bad("a zygote needs a program in 'setup.argv', or a 'parent'");
  }
  if (!request.parent.empty() && !identity.argv.empty()) {
    return bad("a zygote that is forked from '" + request.parent +
               "' runs no program of its own: leave 'setup.argv' out");
  }
  StartPlan plan;
  if (Zygote* const existing = FindByName(request.name)) {
    const std::string differences = identity.DifferencesTo(existing->identity);
    const bool usable = existing->state != ZygoteState::kQuarantined;
    if (auto checked = CheckProject(request, *existing); !checked) {
      return checked.error();
    }
    if (differences.empty() && usable) {
      plan.existing = existing;
      return plan;
    }
    if (!request.replace && usable) {
      return MakeError(error_code::kZygoteConflict,
                       "zygote '" + request.name +
                           "' runs already and differs in: " + differences,
                       "choose another name, or ask for 'replace'");
    }
    plan.replaced = existing;
  }
  if (request.parent.empty()) return plan;
  plan.parent = FindByName(request.parent);
  if (plan.parent == nullptr || plan.parent->state != ZygoteState::kReady) {
    return MakeError(error_code::kUnknownZygote,
                     "there is no ready zygote '" + request.parent +
                         "' to fork '" + request.name + "' from",
                     "start it first");
  }
  const std::string variables =
      DescribeDifferences(identity.frozen, plan.parent->identity.frozen);
  if (!variables.empty()) {
    return MakeError(
        error_code::kStaleEnvironment,
        "zygote '" + request.parent + "' froze other values of: " + variables,
        "start a zygote of its own with this environment");
  }
  return plan;
}

Result<std::string> ZygoteRegistry::Compare(
    const protocol::ZygoteStart& request, const ZygoteIdentity& identity) {
  const Zygote* const existing = FindByName(request.name);
  if (existing == nullptr) return UnknownZygote(request.name);
  if (auto checked = CheckProject(request, *existing); !checked) {
    return checked.error();
  }
  if (existing->state == ZygoteState::kQuarantined) {
    return "it is quarantined: " + existing->quarantine;
  }
  return identity.DifferencesTo(existing->identity);
}

Zygote& ZygoteRegistry::Add(Zygote zygote) {
  if (zygote.state != ZygoteState::kRetiring) names_[zygote.name] = zygote.key;
  const ProcessKey key = zygote.key;
  return zygotes_[key] = std::move(zygote);
}

void ZygoteRegistry::Erase(ProcessKey key) {
  const Zygote* const zygote = Find(key);
  if (zygote == nullptr) return;
  const auto name = names_.find(zygote->name);
  if (name != names_.end() && name->second == key) names_.erase(name);
  zygotes_.erase(key);
}

std::vector<ProcessKey> ZygoteRegistry::BeginRetire(ProcessKey key) {
  std::vector<ProcessKey> retired;
  Zygote* const zygote = Find(key);
  if (zygote == nullptr || zygote->state == ZygoteState::kRetiring) {
    return retired;
  }
  zygote->state = ZygoteState::kRetiring;
  const auto name = names_.find(zygote->name);
  if (name != names_.end() && name->second == key) names_.erase(name);
  for (const auto& [other_key, other] : zygotes_) {
    if (other.parent != key) continue;
    for (const ProcessKey nested : BeginRetire(other_key)) {
      retired.push_back(nested);
    }
  }
  retired.push_back(key);
  return retired;
}

std::vector<ProcessKey> ZygoteRegistry::OwnerGone(OwnerId owner) {
  std::vector<ProcessKey> unwanted;
  for (auto& [key, zygote] : zygotes_) {
    if (zygote.owners.erase(owner) == 0) continue;
    // Nobody waits for one that is not ready: it may never be.
    const bool keep = zygote.keep && zygote.state != ZygoteState::kStarting;
    if (zygote.owners.empty() && !keep) unwanted.push_back(key);
  }
  return unwanted;
}

bool ZygoteRegistry::Unused(const Zygote& zygote) const {
  if (zygote.workers > 0) return false;
  for (const auto& [key, other] : zygotes_) {
    if (other.parent == zygote.key) return false;
  }
  return true;
}

ZygoteInfo ZygoteRegistry::InfoOf(const Zygote& zygote) const {
  ZygoteInfo info;
  info.name = zygote.name;
  info.id = zygote.id;
  info.pid = zygote.pid;
  info.state = zygote.state;
  info.parent = zygote.identity.parent;
  info.project = zygote.identity.project;
  info.identity = zygote.identity.Digest();
  info.keep = zygote.keep;
  info.workers = zygote.workers;
  info.forks = zygote.forks;
  info.argv = zygote.identity.argv;
  info.entries = zygote.entries;
  info.preloads = zygote.preloads;
  info.audit_policy = zygote.audit_policy;
  info.spares_min = zygote.spares_min;
  info.spares_max = zygote.spares_max;
  info.audit = zygote.audit;
  info.quarantine = zygote.quarantine;
  return info;
}

}  // namespace forkserver::server
