// The part of Supervisor that looks after zygotes.
#include <csignal>
#include <cstring>
#include <utility>

#include "sdk/process/platform.h"
#include "sdk/protocol/codec.h"
#include "server/supervisor/supervisor.h"

namespace forkserver::server {
namespace {

// A retired zygote without workers that does not end in this time hangs.
constexpr std::int64_t kRetirePatienceNs = 5'000'000'000;

}  // namespace

Result<ProcessKey> Supervisor::StartZygote(const Requester& requester,
                                           protocol::ZygoteStart request,
                                           std::vector<UniqueFd> fds) {
  if (auto checked = CheckPolicy({}); !checked) return checked.error();
  auto setup = protocol::DecodeBody<protocol::Setup>(request.setup.data);
  if (!setup) return setup.error();
  ZygoteIdentity identity = ZygoteIdentity::Of(request, *setup);
  auto plan = zygotes_.PlanStart(request, identity);
  if (!plan) return plan.error();
  if (plan->existing != nullptr) {
    plan->existing->owners.insert(requester.owner);
    plan->existing->keep = plan->existing->keep || request.keep;
    return plan->existing->key;
  }

  Zygote zygote;
  zygote.key = ids_.Next();
  zygote.id = ids_.IdOf(zygote.key);
  zygote.name = request.name;
  zygote.parent = plan->parent != nullptr ? plan->parent->key : 0;
  zygote.freeze = FrozenPatterns(request.freeze);
  zygote.identity = std::move(identity);
  // One that is forked inherits what its parent had.
  if (plan->parent != nullptr) zygote.limits = plan->parent->limits;
  for (const auto& [name, limit] : requester.limits) {
    zygote.limits[name] = limit;
  }
  for (const auto& [name, limit] : setup->limits) zygote.limits[name] = limit;
  zygote.keep = request.keep;
  zygote.owners.insert(requester.owner);

  protocol::Configure configure;
  configure.name = request.name;
  configure.preload = request.preload;
  configure.freeze = zygote.freeze;
  configure.crash_reports = true;
  Result<void> launched =
      plan->parent != nullptr
          ? launcher_.LaunchNestedZygote(
                zygote.key, zygote.id, plan->parent->key,
                std::move(request.setup.data), std::move(fds), requester.limits,
                std::move(configure))
          : launcher_.LaunchZygote(zygote.key, zygote.id, std::move(*setup),
                                   fds, requester.limits, std::move(configure));
  if (!launched) return launched.error();
  // Only now: a launch that fails must not cost the old one.
  if (plan->replaced != nullptr) RetireZygote(plan->replaced->key);
  const Zygote& added = zygotes_.Add(std::move(zygote));
  events_.push_back(
      ZygoteChanged{added.key, "zygote_starting", zygotes_.InfoOf(added)});
  return added.key;
}

Result<void> Supervisor::StopZygote(const std::string& name) {
  const Zygote* const zygote = zygotes_.FindByName(name);
  if (zygote == nullptr) return ZygoteRegistry::UnknownZygote(name);
  RetireZygote(zygote->key);
  return {};
}

void Supervisor::RetireZygote(ProcessKey key) {
  for (const ProcessKey retired : zygotes_.BeginRetire(key)) {
    const Zygote& zygote = *zygotes_.Find(retired);
    launcher_.Retire(retired);
    // One that still preloads does not read: it has no workers to wait for.
    if (!zygote.was_ready) {
      launcher_.Signal(retired, zygote.id, SIGKILL, /*group=*/true);
    }
    AddDeadline({MonotonicNanoseconds() + kRetirePatienceNs, retired,
                 DeadlineKind::kRetiring});
    events_.push_back(
        ZygoteChanged{retired, "zygote_retiring", zygotes_.InfoOf(zygote)});
  }
}

void Supervisor::Handle(ZygoteIsReady event) {
  Zygote* const zygote = zygotes_.Find(event.key);
  if (zygote == nullptr) return;
  zygote->pid = event.pid;
  zygote->entries = std::move(event.ready.entries);
  zygote->preloads = std::move(event.ready.preloads);
  zygote->last_used_ns = MonotonicNanoseconds();
  AddDeadline({zygote->last_used_ns + options_.zygote_idle_ns, event.key,
               DeadlineKind::kZygoteIdle});
  if (zygote->state == ZygoteState::kStarting) {
    zygote->was_ready = true;
    zygote->state = ZygoteState::kReady;
    events_.push_back(
        ZygoteChanged{event.key, "zygote_ready", zygotes_.InfoOf(*zygote)});
  }
}

void Supervisor::Handle(ZygoteEnded event) {
  const Zygote* const zygote = zygotes_.Find(event.key);
  if (zygote == nullptr) return;
  // It may have become ready when it was to end already, and nobody was told.
  if (!zygote->was_ready) {
    Error error;
    if (event.error) {
      error = std::move(*event.error);
      error.message = "zygote '" + zygote->name + "': " + error.message;
    } else {
      std::string how = "was stopped";
      if (event.status && event.status->code) {
        how = "exited with code " + std::to_string(*event.status->code);
      } else if (event.status && event.status->signal) {
        how = "was ended by signal " + std::to_string(*event.status->signal) +
              " (" + ::strsignal(static_cast<int>(*event.status->signal)) + ")";
      }
      error = MakeError(
          error_code::kZygoteFailed,
          "zygote '" + zygote->name + "' " + how + " before it was ready");
      if (event.status && event.status->code == 0) {
        error.hint = "its program must call Serve() of the zygote SDK";
      }
    }
    if (!event.stderr_tail.empty()) {
      error.message += "; the end of its standard error: " + event.stderr_tail;
    }
    events_.push_back(ZygoteStartFailed{event.key, std::move(error)});
  }
  ZygoteInfo info = zygotes_.InfoOf(*zygote);
  zygotes_.Erase(event.key);
  events_.push_back(ZygoteChanged{event.key, "zygote_ended", std::move(info)});
}

void Supervisor::HandleOfZygote(const Deadline& deadline) {
  const Zygote* const zygote = zygotes_.Find(deadline.key);
  if (zygote == nullptr) return;
  if (deadline.kind == DeadlineKind::kRetiring) {
    if (zygotes_.Unused(*zygote)) {
      launcher_.Signal(deadline.key, zygote->id, SIGKILL, /*group=*/true);
    }
    AddDeadline({deadline.at_ns + kRetirePatienceNs, deadline.key,
                 DeadlineKind::kRetiring});
    return;
  }
  if (zygote->state != ZygoteState::kReady) return;
  std::int64_t again_ns = zygote->last_used_ns + options_.zygote_idle_ns;
  if (zygotes_.Unused(*zygote)) {
    if (again_ns <= deadline.at_ns) {
      RetireZygote(deadline.key);
      return;
    }
  } else {
    again_ns = deadline.at_ns + options_.zygote_idle_ns;
  }
  AddDeadline({again_ns, deadline.key, DeadlineKind::kZygoteIdle});
}

}  // namespace forkserver::server
