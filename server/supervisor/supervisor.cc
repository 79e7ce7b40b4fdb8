#include "server/supervisor/supervisor.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "sdk/process/platform.h"
#include "sdk/process/worker_variable.h"
#include "sdk/protocol/codec.h"

namespace forkserver::server {
namespace {

constexpr std::int64_t kNsPerMs = 1'000'000;
// A killed worker whose zygote says nothing for this long: the zygote hangs.
constexpr std::int64_t kUnheardNs = 2'000'000'000;
// A pebibyte; what is made of it does not overflow.
constexpr std::int64_t kMostOfALimit = std::int64_t{1} << 50;

bool SameLimits(const ResourceLimits& a, const ResourceLimits& b) {
  return std::equal(
      a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
        return x.first == y.first && x.second.soft == y.second.soft &&
               x.second.hard == y.second.hard;
      });
}

}  // namespace

Supervisor::Supervisor(Launcher& launcher, Options options)
    : launcher_(launcher),
      options_(std::move(options)),
      ids_(options_.instance) {}

std::optional<std::int64_t> Supervisor::NextDeadlineNs() const {
  const std::optional<std::int64_t> ours = deadlines_.NextNs();
  const std::optional<std::int64_t> theirs = launcher_.NextDeadlineNs();
  if (!ours) return theirs;
  if (!theirs) return ours;
  return std::min(*ours, *theirs);
}

void Supervisor::Process() {
  for (LaunchEvent& event : launcher_.Process()) {
    std::visit([this](auto& one) { Handle(std::move(one)); }, event);
  }
  if (std::exchange(look_at_trees_now_, false)) LookAtTrees();
  if (!deadlines_.NextNs()) return;
  const std::int64_t now_ns = MonotonicNanoseconds();
  while (const auto due = deadlines_.TakeDue(now_ns)) Handle(*due);
}

std::vector<SupervisorEvent> Supervisor::TakeEvents() {
  return std::exchange(events_, {});
}

Result<void> Supervisor::CheckPolicy(const protocol::Policy& policy) const {
  const auto bad = [](std::string message) {
    return MakeError(error_code::kBadRequest, std::move(message));
  };
  if (shutting_down_) {
    return MakeError(error_code::kDaemonStopping,
                     "forkserverd is stopping and takes no new work",
                     "connect again: a client starts a new one");
  }
  if (policy.name.size() > protocol::kMaxNameBytes) {
    return bad("'name' is longer than " +
               std::to_string(protocol::kMaxNameBytes) + " bytes");
  }
  if (policy.name.find('\0') != std::string::npos) {
    return bad("'name' holds a NUL byte");
  }
  if (policy.crash_report && policy.detach) {
    return bad(
        "'crash_report' is not for detached workers: their standard "
        "error would end with forkserverd");
  }
  if (policy.report_leftovers && policy.detach) {
    return bad(
        "'report_leftovers' is not for detached workers: nothing of theirs "
        "is killed");
  }
  for (const std::int64_t duration : {policy.timeout_ms, policy.grace_ms}) {
    if (duration < 0 || duration > kMaxDurationMs) {
      return bad("'timeout_ms' and 'grace_ms' must be in 0.." +
                 std::to_string(kMaxDurationMs));
    }
  }
  for (const std::int64_t limit :
       {policy.cgroup.memory_max_bytes, policy.cgroup.tasks_max,
        policy.cgroup.cpu_max_percent}) {
    if (limit < 0 || limit > kMostOfALimit) {
      return bad(
          "'memory_max_bytes', 'tasks_max' and 'cpu_max_percent' must be in "
          "0.." +
          std::to_string(kMostOfALimit));
    }
  }
  if (policy.stop_signal < 1 || policy.stop_signal >= NSIG) {
    return bad("'stop_signal' must be in 1.." + std::to_string(NSIG - 1));
  }
  return {};
}

Launcher::WorkerTraits Supervisor::TraitsOf(
    const Requester& requester, const protocol::Policy& policy) const {
  Launcher::WorkerTraits traits;
  traits.detach = policy.detach;
  traits.crash_report = policy.crash_report;
  traits.report_leftovers = policy.report_leftovers;
  // Runs of services always have one where there can be: nothing of a run can
  // escape it. For others it would cost more than their launch.
  if (policy.cgroup.any() ||
      (requester.owner == kServicesOwner && launcher_.cgroups().available())) {
    traits.cgroup = policy.cgroup;
  }
  return traits;
}

Worker& Supervisor::AddWorker(ProcessKey key, const Requester& requester,
                              const protocol::Policy& policy) {
  Worker& worker = workers_[key];
  worker.key = key;
  worker.id = ids_.IdOf(key);
  worker.name = policy.name;
  worker.owner = requester.owner;
  worker.detach = policy.detach;
  worker.timeout_ms = policy.timeout_ms;
  worker.grace_ms = policy.grace_ms;
  worker.stop_signal = static_cast<int>(policy.stop_signal);
  worker.crash_report = policy.crash_report;
  worker.cgroup = TraitsOf(requester, policy).cgroup.has_value();
  worker.journey.received_ns = requester.received_ns;
  if (policy.timeout_ms > 0) {
    AddDeadline({requester.received_ns + policy.timeout_ms * kNsPerMs, key,
                 DeadlineKind::kTimeout});
  }
  if (!policy.detach) owned_[requester.owner].insert(key);
  ++launched_;
  return worker;
}

void Supervisor::EraseWorker(ProcessKey key) {
  const auto found = workers_.find(key);
  if (found == workers_.end()) return;
  const Worker& worker = found->second;
  const auto owned = owned_.find(worker.owner);
  if (owned != owned_.end()) {
    owned->second.erase(key);
    if (owned->second.empty()) owned_.erase(owned);
  }
  if (Zygote* const zygote = zygotes_.Find(worker.zygote)) {
    --zygote->workers;
    NoteEndOfUse(*zygote);
  }
  if (worker.cgroup) launcher_.cgroups().Remove(key);
  workers_.erase(found);
}

Result<ProcessKey> Supervisor::Spawn(const Requester& requester,
                                     const protocol::Spawn& request,
                                     const std::vector<UniqueFd>& fds,
                                     int held_fd) {
  if (auto checked = CheckPolicy(request.policy); !checked) {
    return checked.error();
  }
  auto setup = protocol::DecodeBody<protocol::Setup>(request.setup.data);
  if (!setup) return setup.error();
  const std::int64_t begun_ns = MonotonicNanoseconds();
  const ProcessKey key = ids_.Next();
  SetWorkerVariable(ids_.IdOf(key), setup->env);
  Launcher::WorkerTraits traits = TraitsOf(requester, request.policy);
  traits.held_fd = held_fd;
  if (auto launched = launcher_.LaunchExec(key, std::move(*setup), fds,
                                           requester.limits, traits);
      !launched) {
    return launched.error();
  }
  AddWorker(key, requester, request.policy).journey.launch_begun_ns = begun_ns;
  return key;
}

Result<ProcessKey> Supervisor::Fork(const Requester& requester,
                                    protocol::Fork request,
                                    std::vector<UniqueFd> fds) {
  if (auto checked = CheckPolicy(request.policy); !checked) {
    return checked.error();
  }
  Zygote* const zygote = zygotes_.FindByName(request.zygote);
  if (zygote == nullptr) return ZygoteRegistry::UnknownZygote(request.zygote);
  if (zygote->state == ZygoteState::kQuarantined) {
    return MakeError(
        error_code::kZygoteQuarantined,
        "zygote '" + request.zygote + "' is quarantined: " + zygote->quarantine,
        "start it again, which replaces it");
  }
  if (zygote->state != ZygoteState::kReady) {
    return MakeError(error_code::kUnknownZygote,
                     "zygote '" + request.zygote + "' is not ready yet",
                     "`zygote_start` answers when it is");
  }
  // Its workers inherit the limits of the client that made it; only another
  // client's have to be sent.
  ResourceLimits limits;
  if (!SameLimits(zygote->limits, requester.limits)) {
    limits = ReadLimits(::getpid()).value_or(ResourceLimits());
    for (const auto& [name, limit] : requester.limits) limits[name] = limit;
  }
  const std::int64_t begun_ns = MonotonicNanoseconds();
  const ProcessKey key = ids_.Next();
  if (auto launched = launcher_.LaunchForked(
          key, ids_.IdOf(key), zygote->key, std::move(request.setup.data),
          std::move(fds), limits, TraitsOf(requester, request.policy));
      !launched) {
    return launched.error();
  }
  Worker& worker = AddWorker(key, requester, request.policy);
  worker.kind = WorkerKind::kForked;
  worker.zygote = zygote->key;
  worker.zygote_name = zygote->name;
  worker.pristine = zygote->pristine;
  worker.dirty = zygote->dirty;
  worker.journey.launch_begun_ns = begun_ns;
  AddDeadline(
      {begun_ns + zygote->entry_deadline_ns, key, DeadlineKind::kEntry});
  ++zygote->workers;
  ++zygote->forks;
  return key;
}

ProcessKey Supervisor::Adopt(const Requester& requester,
                             const protocol::Policy& policy,
                             const Earlier& earlier) {
  const ProcessKey key = ids_.Next();
  Worker& worker = AddWorker(key, requester, policy);
  worker.first_id = earlier.id;
  worker.cgroup = false;  // One that it has is the earlier daemon's.
  worker.kind = earlier.kind;
  worker.pid = earlier.pid;
  worker.state = WorkerState::kRunning;
  worker.journey.launched_ns = earlier.launched_ns;
  if (launcher_.Adopt(key, earlier.pid, earlier.start_time)) {
    events_.push_back(WorkerLaunched{key, DescribeWorker(worker)});
    return key;
  }
  worker.state = WorkerState::kStopping;
  worker.ended = ProcessEnded{key, {}};
  worker.ended->status.ended_ns = MonotonicNanoseconds();
  trees_to_end_.push_back(key);
  LookAtTreesSoon(0);
  return key;
}

Result<Supervisor::Found> Supervisor::Find(const std::string& id) const {
  const std::optional<ProcessKey> key = ids_.KeyOf(id);
  if (!key) {
    const bool earlier = ids_.IsOfAnotherRun(id);
    return MakeError(error_code::kUnknownWorker,
                     earlier ? "worker " + id +
                                   " is of another run of forkserverd; this "
                                   "one is " +
                                   ids_.instance()
                             : "there is no worker '" + id + "'",
                     earlier ? "its exit record ended with that run"
                             : "see `forkserver ps` for the ids");
  }
  if (workers_.count(*key) != 0) return Found{*key, nullptr};
  if (const ExitRecord* const record = records_.Find(*key)) {
    return Found{*key, record};
  }
  return MakeError(error_code::kRecordExpired,
                   "worker " + id +
                       " ended and its exit record has expired, or it was "
                       "never launched",
                   "the last " + std::to_string(RecordRing::kCapacity) +
                       " records are kept; wait for a worker before");
}

Result<void> Supervisor::Signal(const std::string& id, std::int64_t signal,
                                bool group) {
  if (signal < 0 || signal >= NSIG) {
    return MakeError(error_code::kBadRequest,
                     "there is no signal " + std::to_string(signal));
  }
  const Result<Found> found = Find(id);
  if (!found) return found.error();
  const Error ended =
      MakeError(error_code::kWorkerEnded, "worker " + id + " has ended");
  if (found->record != nullptr) return ended;
  if (!launcher_.Signal(found->key, id, static_cast<int>(signal), group)) {
    return ended;
  }
  return {};
}

Result<Supervisor::Found> Supervisor::Stop(
    const std::string& id, std::optional<std::int64_t> grace_ms) {
  if (grace_ms && (*grace_ms < 0 || *grace_ms > kMaxDurationMs)) {
    return MakeError(
        error_code::kBadRequest,
        "'grace_ms' must be in 0.." + std::to_string(kMaxDurationMs));
  }
  const Result<Found> found = Find(id);
  if (!found) return found.error();
  if (found->record == nullptr) {
    Worker& worker = workers_.at(found->key);
    BeginStop(worker, EndReason::kStopped, grace_ms.value_or(worker.grace_ms));
  }
  return *found;
}

void Supervisor::BeginStop(Worker& worker, EndReason reason,
                           std::int64_t grace_ms) {
  const std::int64_t until_ns = MonotonicNanoseconds() + grace_ms * kNsPerMs;
  const bool again = worker.state == WorkerState::kStopping;
  if (again && until_ns >= worker.grace_until_ns) return;
  if (!worker.reason) worker.reason = reason;
  worker.state = WorkerState::kStopping;
  worker.grace_until_ns = until_ns;
  if (grace_ms == 0) {
    Kill(worker);
    return;
  }
  if (!again && !worker.ended) {
    launcher_.Signal(worker.key, worker.id, worker.stop_signal,
                     /*group=*/true);
    // A stopped process would take the signal only when it is continued.
    launcher_.Signal(worker.key, worker.id, SIGCONT, /*group=*/true);
    trees_to_stop_.push_back(worker.key);
    LookAtTreesSoon(0);
  }
  AddDeadline({until_ns, worker.key, DeadlineKind::kGrace});
}

void Supervisor::Kill(Worker& worker) {
  if (worker.ended) return;  // LookAtTrees is at it
  launcher_.Signal(worker.key, worker.id, SIGKILL, /*group=*/true);
  if (worker.cgroup) launcher_.cgroups().Kill(worker.key);
  if (worker.kind == WorkerKind::kForked) {
    AddDeadline({MonotonicNanoseconds() + kUnheardNs, worker.key,
                 DeadlineKind::kUnheard});
  }
}

void Supervisor::OwnerGone(OwnerId owner) {
  const auto owned = owned_.find(owner);
  if (owned != owned_.end()) {
    for (const ProcessKey key : owned->second) {
      Worker& worker = workers_.at(key);
      BeginStop(worker, EndReason::kClientGone, worker.grace_ms);
    }
  }
  for (const ProcessKey unwanted : zygotes_.OwnerGone(owner)) {
    RetireZygote(unwanted);
  }
}

void Supervisor::BeginShutdown(bool now) {
  if (shutting_down_ && !now) return;
  shutting_down_ = true;
  for (auto& [key, worker] : workers_) {
    // Services are stopped in an order of their own.
    if (worker.owner == kServicesOwner && !now) continue;
    BeginStop(worker, EndReason::kDaemonStopping, now ? 0 : worker.grace_ms);
  }
  if (now) {
    for (const auto& [key, zygote] : zygotes_.all()) {
      launcher_.Signal(key, zygote.id, SIGKILL, /*group=*/true);
    }
  }
  std::vector<ProcessKey> keys;
  for (const auto& [key, zygote] : zygotes_.all()) keys.push_back(key);
  for (const ProcessKey key : keys) RetireZygote(key);
}

std::chrono::milliseconds Supervisor::LongestGrace() const {
  std::int64_t longest_ms = 0;
  for (const auto& [key, worker] : workers_) {
    longest_ms = std::max(longest_ms, worker.grace_ms);
  }
  for (const auto& [key, zygote] : zygotes_.all()) {
    longest_ms = std::max(longest_ms, zygote.grace_ns / kNsPerMs);
  }
  return std::chrono::milliseconds(longest_ms);
}

void Supervisor::Handle(ProcessStarted event) {
  const auto found = workers_.find(event.key);
  if (found == workers_.end()) return;
  Worker& worker = found->second;
  if (event.started_ns != 0 && worker.kind == WorkerKind::kForked) {
    if (Zygote* const zygote = zygotes_.Find(worker.zygote)) {
      zygote->unbegun_in_a_row = 0;
    }
  }
  worker.pid = event.pid;
  worker.journey.launched_ns = event.launched_ns;
  worker.journey.started_ns = event.started_ns;
  if (worker.state == WorkerState::kLaunching) {
    worker.state = WorkerState::kRunning;
  }
  events_.push_back(WorkerLaunched{event.key, DescribeWorker(worker)});
}

void Supervisor::Handle(ProcessNeverBegan event) {
  const auto found = workers_.find(event.key);
  if (found == workers_.end()) {
    return Handle(LaunchFailed{event.key, std::move(event.error)});
  }
  if (!found->second.reason) {
    Handle(LaunchFailed{event.key, std::move(event.error)});
    return;
  }
  // We ended it. It counts as launched, and its record says why.
  Handle(ProcessStarted{event.key, event.pid, 0, 0});
  Handle(ProcessEnded{event.key, event.status});
}

void Supervisor::Handle(LaunchFailed event) {
  if (Zygote* const zygote = ZygoteOfCanary(event.key)) {
    return OnCanary(*zygote, event.error.ToString());
  }
  EraseWorker(event.key);
  events_.push_back(WorkerLaunchFailed{event.key, std::move(event.error)});
}

void Supervisor::Handle(ProcessEnded event) {
  if (Zygote* const zygote = ZygoteOfCanary(event.key)) {
    if (event.status.code == 0) return OnCanary(*zygote, std::nullopt);
    return OnCanary(*zygote, event.status.signal
                                 ? "it was ended by signal " +
                                       std::to_string(*event.status.signal)
                                 : "it did not exit with 0");
  }
  const auto found = workers_.find(event.key);
  if (found == workers_.end()) return;
  Worker& worker = found->second;
  // One that was told to stop has ended when all that it started has.
  if (worker.state == WorkerState::kStopping ||
      worker.owner == kServicesOwner || (worker.cgroup && !worker.detach)) {
    worker.state = WorkerState::kStopping;
    worker.ended = std::move(event);
    trees_to_end_.push_back(worker.key);
    look_at_trees_now_ = true;
    return;
  }
  Finish(worker, event);
}

void Supervisor::Finish(Worker& worker, const ProcessEnded& end) {
  const ProcessKey key = worker.key;
  worker.state = WorkerState::kEnded;
  WorkerInfo info = DescribeWorker(worker);
  ProcessEnded whole = end;
  if (worker.cgroup) {
    whole.status.oom_kills = launcher_.cgroups().CountOomKills(key);
  }
  info.exit = MakeRecord(worker, whole);
  records_.Add(key, *info.exit);
  EraseWorker(key);
  events_.push_back(WorkerEnded{key, std::move(info)});
}

void Supervisor::AddDeadline(const Deadline& deadline) {
  deadlines_.Add(deadline, [this](const Deadline& one) {
    if (IsOfZygote(one.kind)) return zygotes_.Find(one.key) != nullptr;
    if (one.kind == DeadlineKind::kTrees) return true;
    const auto worker = workers_.find(one.key);
    if (worker == workers_.end()) return ZygoteOfCanary(one.key) != nullptr;
    if (one.kind == DeadlineKind::kEntry) {
      return worker->second.state == WorkerState::kLaunching;
    }
    return one.kind != DeadlineKind::kGrace ||
           one.at_ns == worker->second.grace_until_ns;
  });
}

void Supervisor::Handle(const Deadline& deadline) {
  if (IsOfZygote(deadline.kind)) return HandleOfZygote(deadline);
  if (deadline.kind == DeadlineKind::kTrees) {
    look_at_trees_soon_ = false;
    return LookAtTrees();
  }
  if (Zygote* const zygote = ZygoteOfCanary(deadline.key)) {
    launcher_.TakeStacks(deadline.key, zygote->pid);
    return;
  }
  const auto found = workers_.find(deadline.key);
  if (found == workers_.end()) return;
  Worker& worker = found->second;
  switch (deadline.kind) {
    case DeadlineKind::kTimeout:
      BeginStop(worker, EndReason::kTimeout, worker.grace_ms);
      break;
    case DeadlineKind::kGrace:
      // A later stop may have shortened it; that one has killed already.
      if (deadline.at_ns == worker.grace_until_ns) Kill(worker);
      break;
    case DeadlineKind::kUnheard:
      if (worker.ended) break;
      // Dying may take long (much memory, a core). If it is over and its
      // zygote does not say so, that hangs; when it dies, the reaper takes
      // the worker over.
      if (launcher_.KillDirectly(deadline.key)) {
        if (const Zygote* const zygote = zygotes_.Find(worker.zygote)) {
          launcher_.Signal(zygote->key, zygote->id, SIGKILL, /*group=*/false);
        }
      }
      AddDeadline(
          {deadline.at_ns + kUnheardNs, deadline.key, DeadlineKind::kUnheard});
      break;
    case DeadlineKind::kEntry:
      // One that is being stopped has its end already.
      if (worker.state == WorkerState::kLaunching) {
        worker.state = WorkerState::kStopping;
        worker.reason = EndReason::kForkDeadlock;
        const Zygote* const zygote = zygotes_.Find(worker.zygote);
        launcher_.TakeStacks(worker.key, zygote != nullptr ? zygote->pid : 0);
      }
      break;
    case DeadlineKind::kTrees:
    case DeadlineKind::kRetiring:
    case DeadlineKind::kZygoteIdle:
      break;
  }
}

Snapshot Supervisor::TakeSnapshot() const {
  Snapshot snapshot;
  std::vector<const Worker*> sorted;
  for (const auto& [key, worker] : workers_) sorted.push_back(&worker);
  std::sort(sorted.begin(), sorted.end(),
            [](const Worker* a, const Worker* b) { return a->key < b->key; });
  for (const Worker* worker : sorted) {
    snapshot.workers.push_back(DescribeWorker(*worker));
  }
  for (const auto& [key, zygote] : zygotes_.all()) {
    snapshot.zygotes.push_back(zygotes_.InfoOf(zygote));
  }
  return snapshot;
}

void Supervisor::FillStatus(DaemonStatus& status) const {
  status.instance = ids_.instance();
  status.workers = static_cast<std::int64_t>(workers_.size());
  status.zygotes = static_cast<std::int64_t>(zygotes_.all().size());
  status.launched = launched_;
  status.records_kept = static_cast<std::int64_t>(records_.size());
  status.cgroup_limits = launcher_.cgroups().controllers();
  status.cgroup_missing = launcher_.cgroups().why_not();
}

}  // namespace forkserver::server
