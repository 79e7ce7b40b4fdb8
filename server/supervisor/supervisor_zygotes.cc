// The part of Supervisor that looks after zygotes.
#include <csignal>
#include <cstring>
#include <utility>

#include "sdk/process/audit/audit.h"
#include "sdk/process/platform.h"
#include "sdk/process/worker_variable.h"
#include "sdk/protocol/codec.h"
#include "server/supervisor/supervisor.h"

namespace forkserver::server {
namespace {

// A retired zygote without workers that does not end in this time hangs.
// Between two attempts to kill one that does not end.
constexpr std::int64_t kKillAgainNs = 5'000'000'000;
// So many workers in a row that do not reach their entry are no accident.
constexpr int kMaxUnbegun = 3;
constexpr std::int64_t kMaxEntryDeadlineMs = 3'600'000;
constexpr std::int64_t kNsPerMs = 1'000'000;

std::string JoinLines(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += "\n" + line;
  return text;
}

// What the zygote and its request say, as the audit wants it.
audit::OwnWords WordsOf(const Zygote& zygote,
                        const protocol::ZygoteReady& ready) {
  audit::OwnWords words;
  for (const std::int64_t fd : zygote.given_fds) {
    words.given_fds.insert(static_cast<int>(fd));
  }
  for (const std::int64_t fd : ready.own_fds) {
    words.given_fds.insert(static_cast<int>(fd));
  }
  for (const protocol::LibraryAnswer& library : ready.libraries) {
    words.library_answers[library.symbol] = library.used;
  }
  for (const ThreadNote& thread : ready.threads) {
    words.threads[thread.id] = thread;
  }
  for (const PreloadReport& report : ready.preloads) {
    const std::string step = "preload " + report.name;
    for (const std::int64_t fd : report.new_fds) {
      words.fd_steps[static_cast<int>(fd)] = step;
    }
    for (const std::string& path : report.new_libraries) {
      words.library_steps[path] = step;
    }
  }
  return words;
}

Error UnsafeError(const Zygote& zygote) {
  const Audit& audit = *zygote.audit;
  Error error =
      MakeError(error_code::kZygoteUnsafe,
                "zygote '" + zygote.name + "' is not " +
                    (audit.verdict == AuditVerdict::kUnsafe ? ""
                                                            : "known to "
                                                              "be ") +
                    "safe to fork: " + audit::Describe(audit),
                "the audit policy `warn` or `allow` puts it in service anyway");
  if (!audit.reasons.empty()) {
    error.step = audit.reasons[0].step;
    if (!audit.reasons[0].advice.empty()) {
      error.hint = audit.reasons[0].advice + "; " + error.hint;
    }
  }
  return error;
}

}  // namespace

Result<protocol::ZygoteReply> Supervisor::CompareZygote(
    const protocol::ZygoteStart& request) {
  auto setup = protocol::DecodeBody<protocol::Setup>(request.setup.data);
  if (!setup) return setup.error();
  auto difference =
      zygotes_.Compare(request, ZygoteIdentity::Of(request, *setup));
  if (!difference) return difference.error();
  return protocol::ZygoteReply{
      zygotes_.InfoOf(*zygotes_.FindByName(request.name)),
      *std::move(difference)};
}

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
  if (request.entry_deadline_ms <= 0 ||
      request.entry_deadline_ms > kMaxEntryDeadlineMs) {
    return MakeError(error_code::kBadRequest,
                     "'entry_deadline_ms' must be in 1.." +
                         std::to_string(kMaxEntryDeadlineMs));
  }
  if (request.grace_ms < 0 || request.grace_ms > kMaxDurationMs) {
    return MakeError(
        error_code::kBadRequest,
        "'grace_ms' must be in 0.." + std::to_string(kMaxDurationMs));
  }
  if (request.spares_min < 0 || request.spares_max < request.spares_min ||
      request.spares_max > protocol::kMaxSpares) {
    return MakeError(error_code::kBadRequest,
                     "'spares_min' and 'spares_max' must be in 0.." +
                         std::to_string(protocol::kMaxSpares) +
                         ", the first not above the second");
  }
  zygote.spares_min = request.spares_min;
  zygote.spares_max = request.spares_max;
  zygote.audit_policy = request.audit_policy;
  zygote.entry_deadline_ns = request.entry_deadline_ms * kNsPerMs;
  zygote.grace_ns = request.grace_ms * kNsPerMs;
  for (const protocol::FdPlacement& placement : setup->fds) {
    zygote.given_fds.push_back(placement.child_fd);
  }
  zygote.keep = request.keep;
  zygote.owners.insert(requester.owner);

  // What forks from it shows, until it executes something, the environment
  // that the zygote was executed with: it is nothing of its client's.
  ClearWorkerVariable(setup->env);
  protocol::Configure configure;
  configure.name = request.name;
  configure.preload = request.preload;
  configure.freeze = zygote.freeze;
  configure.audit_policy = request.audit_policy;
  configure.ask = audit::SymbolsToAsk();
  configure.surviving = audit::SurvivingLibraries();
  configure.crash_reports = true;
  configure.spares_min = request.spares_min;
  configure.spares_max = request.spares_max;
  configure.takes_spares = true;
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
  // In place: g++ 12 takes the moved variant for uninitialized.
  events_.emplace_back(
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
    Zygote& zygote = *zygotes_.Find(retired);
    launcher_.Retire(retired);
    // One that still preloads does not read: it has no workers to wait for.
    if (!zygote.was_ready) {
      launcher_.Signal(retired, zygote.id, SIGKILL, /*group=*/true);
      zygote.grace_ns = 0;  // nor anything to end
    }
    NoteEndOfUse(zygote);
    events_.push_back(
        ZygoteChanged{retired, "zygote_retiring", zygotes_.InfoOf(zygote)});
  }
}

// What lived off it has ended, or it was retired. One that is both retired and
// unused is to end now.
void Supervisor::NoteEndOfUse(Zygote& zygote) {
  zygote.last_used_ns = MonotonicNanoseconds();
  if (zygote.state == ZygoteState::kRetiring && zygotes_.Unused(zygote)) {
    AddDeadline({zygote.last_used_ns + zygote.grace_ns, zygote.key,
                 DeadlineKind::kRetiring});
  }
}

void Supervisor::Handle(ZygoteIsReady event) {
  Zygote* const zygote = zygotes_.Find(event.key);
  if (zygote == nullptr) return;
  zygote->pid = event.pid;
  launcher_.Audit(event.key, event.pid, WordsOf(*zygote, event.ready));
  zygote->entries = std::move(event.ready.entries);
  zygote->preloads = std::move(event.ready.preloads);
}

void Supervisor::Handle(ZygoteAudited event) {
  Zygote* const zygote = zygotes_.Find(event.key);
  if (zygote == nullptr || zygote->state != ZygoteState::kStarting) return;
  zygote->audit = std::move(event.audit);
  zygote->pristine = zygote->audit->verdict == AuditVerdict::kSafe;
  for (const AuditFinding& reason : zygote->audit->reasons) {
    zygote->dirty.push_back(audit::Describe(reason));
  }
  for (const std::string& unknown : zygote->audit->unreadable) {
    zygote->dirty.push_back("it cannot be known: " + unknown);
  }
  if (zygote->audit->verdict != AuditVerdict::kSafe &&
      zygote->audit_policy == AuditPolicy::kRefuse) {
    return Refuse(*zygote, UnsafeError(*zygote));
  }
  zygote->canary = ids_.Next();
  if (auto launched = launcher_.LaunchCanary(
          zygote->canary, ids_.IdOf(zygote->canary), zygote->key);
      !launched) {
    return OnCanary(*zygote, launched.error().ToString());
  }
  AddDeadline({MonotonicNanoseconds() + zygote->entry_deadline_ns,
               zygote->canary, DeadlineKind::kEntry});
}

Zygote* Supervisor::ZygoteOfCanary(ProcessKey canary) {
  for (const auto& [key, zygote] : zygotes_.all()) {
    if (zygote.canary == canary) return zygotes_.Find(key);
  }
  return nullptr;
}

void Supervisor::OnCanary(Zygote& zygote, std::optional<std::string> failure) {
  zygote.canary = 0;
  if (zygote.state != ZygoteState::kStarting) return;
  if (failure) {
    return Refuse(zygote,
                  MakeError(error_code::kZygoteFailed,
                            "zygote '" + zygote.name +
                                "': the first worker, which it is tried with, "
                                "did not answer: " +
                                *failure,
                            "look at it with `forkserver doctor`; see "
                            "docs/fork_safety.md"));
  }
  zygote.last_used_ns = MonotonicNanoseconds();
  AddDeadline({zygote.last_used_ns + options_.zygote_idle_ns, zygote.key,
               DeadlineKind::kZygoteIdle});
  zygote.was_ready = true;
  zygote.state = ZygoteState::kReady;
  events_.push_back(
      ZygoteChanged{zygote.key, "zygote_ready", zygotes_.InfoOf(zygote)});
}

void Supervisor::Refuse(Zygote& zygote, Error error) {
  zygote.refused = std::move(error);
  launcher_.Signal(zygote.key, zygote.id, SIGKILL, /*group=*/true);
}

void Supervisor::Handle(StacksTaken event) {
  if (Zygote* const zygote = ZygoteOfCanary(event.key)) {
    Error error = MakeError(
        error_code::kForkDeadlock,
        "zygote '" + zygote->name +
            "': the first worker, which it is tried with, did not answer "
            "within " +
            std::to_string(zygote->entry_deadline_ns / kNsPerMs) +
            " ms:" + JoinLines(event.lines),
        "something that it loaded cannot be forked; see docs/fork_safety.md");
    zygote->canary = 0;
    return Refuse(*zygote, std::move(error));
  }
  const auto found = workers_.find(event.key);
  if (found == workers_.end()) return;
  Worker& worker = found->second;
  worker.stacks = std::move(event.lines);
  if (Zygote* const zygote = zygotes_.Find(worker.zygote)) {
    NoteUnbegun(*zygote, worker);
  }
  Kill(worker);
}

void Supervisor::NoteUnbegun(Zygote& zygote, const Worker& worker) {
  if (++zygote.unbegun_in_a_row < kMaxUnbegun ||
      zygote.state != ZygoteState::kReady) {
    return;
  }
  zygote.state = ZygoteState::kQuarantined;
  zygote.quarantine = std::to_string(zygote.unbegun_in_a_row) +
                      " workers in a row did not reach their entry within " +
                      std::to_string(zygote.entry_deadline_ns / kNsPerMs) +
                      " ms (fork_deadlock), the last one was worker " +
                      worker.id;
  events_.push_back(
      ZygoteChanged{zygote.key, "zygote_quarantined", zygotes_.InfoOf(zygote)});
}

void Supervisor::Handle(ZygoteEnded event) {
  const Zygote* const zygote = zygotes_.Find(event.key);
  if (zygote == nullptr) return;
  // It may have become ready when it was to end already, and nobody was told.
  if (!zygote->was_ready) {
    Error error;
    if (zygote->refused) {
      error = *zygote->refused;
    } else if (event.error) {
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
  const ProcessKey parent = zygote->parent;
  zygotes_.Erase(event.key);
  if (Zygote* const found = zygotes_.Find(parent)) NoteEndOfUse(*found);
  events_.push_back(ZygoteChanged{event.key, "zygote_ended", std::move(info)});
}

void Supervisor::HandleOfZygote(const Deadline& deadline) {
  const Zygote* const zygote = zygotes_.Find(deadline.key);
  if (zygote == nullptr) return;
  if (deadline.kind == DeadlineKind::kRetiring) {
    // Otherwise there is, or will be, a later deadline.
    if (zygotes_.Unused(*zygote) &&
        zygote->last_used_ns + zygote->grace_ns <= deadline.at_ns) {
      launcher_.Signal(deadline.key, zygote->id, SIGKILL, /*group=*/true);
      AddDeadline({deadline.at_ns + kKillAgainNs, deadline.key,
                   DeadlineKind::kRetiring});
    }
    return;
  }
  if (zygote->state != ZygoteState::kReady &&
      zygote->state != ZygoteState::kQuarantined) {
    return;
  }
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
