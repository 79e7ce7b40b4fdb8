// The part of Supervisor that crosses an upgrade: what is written down of it,
// and made of that again.
#include <utility>

#include "sdk/process/platform.h"
#include "server/supervisor/supervisor.h"

namespace forkserver::server {
namespace {

std::int64_t Hand(std::uint64_t key) { return static_cast<std::int64_t>(key); }
ProcessKey Take(std::int64_t key) { return static_cast<ProcessKey>(key); }

protocol::HandedEnd Hand(const ProcessEnded& end) {
  const EndStatus& status = end.status;
  protocol::HandedEnd handed;
  handed.observed = status.observed;
  handed.code = status.code;
  handed.signal = status.signal;
  handed.core = status.core;
  handed.max_rss_bytes = status.max_rss_bytes;
  handed.user_us = status.user_us;
  handed.system_us = status.system_us;
  handed.ended_ns = status.ended_ns;
  handed.crash_report.data = status.crash.report;
  handed.traceback.data = status.crash.traceback;
  handed.stderr_tail.data = status.crash.stderr_tail;
  handed.oom_kills = status.oom_kills;
  handed.leftovers = status.leftovers;
  handed.zygote_died = end.zygote_died;
  return handed;
}

ProcessEnded Take(ProcessKey key, protocol::HandedEnd handed) {
  ProcessEnded end;
  end.key = key;
  end.zygote_died = handed.zygote_died;
  EndStatus& status = end.status;
  status.observed = handed.observed;
  status.code = handed.code;
  status.signal = handed.signal;
  status.core = handed.core;
  status.max_rss_bytes = handed.max_rss_bytes;
  status.user_us = handed.user_us;
  status.system_us = handed.system_us;
  status.ended_ns = handed.ended_ns;
  status.crash.report = std::move(handed.crash_report.data);
  status.crash.traceback = std::move(handed.traceback.data);
  status.crash.stderr_tail = std::move(handed.stderr_tail.data);
  status.oom_kills = handed.oom_kills;
  status.leftovers = std::move(handed.leftovers);
  return end;
}

protocol::HandedWorker Hand(const Worker& worker) {
  protocol::HandedWorker handed;
  handed.key = Hand(worker.key);
  handed.name = worker.name;
  handed.kind = worker.kind;
  handed.state = worker.state;
  handed.pid = worker.pid;
  handed.first_id = worker.first_id;
  handed.owner = Hand(worker.owner);
  handed.zygote = Hand(worker.zygote);
  handed.zygote_name = worker.zygote_name;
  handed.detach = worker.detach;
  handed.timeout_ms = worker.timeout_ms;
  handed.grace_ms = worker.grace_ms;
  handed.stop_signal = worker.stop_signal;
  handed.grace_until_ns = worker.grace_until_ns;
  handed.reason = worker.reason;
  handed.stacks = worker.stacks;
  handed.journey = worker.journey;
  handed.pristine = worker.pristine;
  handed.dirty = worker.dirty;
  handed.crash_report = worker.crash_report;
  handed.cgroup = worker.cgroup;
  if (worker.ended) handed.ended = Hand(*worker.ended);
  return handed;
}

Worker Take(protocol::HandedWorker handed) {
  Worker worker;
  worker.key = Take(handed.key);
  worker.name = std::move(handed.name);
  worker.kind = handed.kind;
  worker.state = handed.state;
  worker.pid = static_cast<pid_t>(handed.pid);
  worker.first_id = std::move(handed.first_id);
  worker.owner = static_cast<OwnerId>(handed.owner);
  worker.zygote = Take(handed.zygote);
  worker.zygote_name = std::move(handed.zygote_name);
  worker.detach = handed.detach;
  worker.timeout_ms = handed.timeout_ms;
  worker.grace_ms = handed.grace_ms;
  worker.stop_signal = static_cast<int>(handed.stop_signal);
  worker.grace_until_ns = handed.grace_until_ns;
  worker.reason = handed.reason;
  worker.stacks = std::move(handed.stacks);
  worker.journey = handed.journey;
  worker.pristine = handed.pristine;
  worker.dirty = std::move(handed.dirty);
  worker.crash_report = handed.crash_report;
  worker.cgroup = handed.cgroup;
  if (handed.ended) worker.ended = Take(worker.key, std::move(*handed.ended));
  return worker;
}

protocol::HandedZygote Hand(const Zygote& zygote) {
  const ZygoteIdentity& identity = zygote.identity;
  protocol::HandedZygote handed;
  handed.key = Hand(zygote.key);
  handed.name = zygote.name;
  handed.pid = zygote.pid;
  handed.state = zygote.state;
  handed.parent = Hand(zygote.parent);
  handed.identity = {identity.argv,    identity.cwd,         identity.binary,
                     identity.parent,  identity.preload,     identity.frozen,
                     identity.project, identity.environment, {identity.rest}};
  handed.freeze = zygote.freeze;
  handed.limits = zygote.limits;
  handed.was_ready = zygote.was_ready;
  handed.keep = zygote.keep;
  handed.owners.assign(zygote.owners.begin(), zygote.owners.end());
  handed.workers = zygote.workers;
  handed.forks = zygote.forks;
  handed.last_used_ns = zygote.last_used_ns;
  handed.audit_policy = zygote.audit_policy;
  handed.spares_min = zygote.spares_min;
  handed.spares_max = zygote.spares_max;
  handed.entry_deadline_ns = zygote.entry_deadline_ns;
  handed.grace_ns = zygote.grace_ns;
  handed.given_fds = zygote.given_fds;
  handed.audit = zygote.audit;
  if (zygote.refused) handed.refused = protocol::ToWire(*zygote.refused);
  handed.canary = Hand(zygote.canary);
  handed.unbegun_in_a_row = zygote.unbegun_in_a_row;
  handed.quarantine = zygote.quarantine;
  handed.entries = zygote.entries;
  handed.preloads = zygote.preloads;
  handed.pristine = zygote.pristine;
  handed.dirty = zygote.dirty;
  return handed;
}

Zygote Take(protocol::HandedZygote handed) {
  protocol::HandedIdentity& identity = handed.identity;
  Zygote zygote;
  zygote.key = Take(handed.key);
  zygote.name = std::move(handed.name);
  zygote.pid = static_cast<pid_t>(handed.pid);
  zygote.state = handed.state;
  zygote.parent = Take(handed.parent);
  zygote.identity = {
      std::move(identity.argv),     std::move(identity.cwd),
      std::move(identity.binary),   std::move(identity.parent),
      std::move(identity.preload),  std::move(identity.frozen),
      std::move(identity.project),  std::move(identity.environment),
      std::move(identity.rest.data)};
  zygote.freeze = std::move(handed.freeze);
  zygote.limits = std::move(handed.limits);
  zygote.was_ready = handed.was_ready;
  zygote.keep = handed.keep;
  for (const std::int64_t owner : handed.owners) {
    zygote.owners.insert(static_cast<OwnerId>(owner));
  }
  zygote.workers = handed.workers;
  zygote.forks = handed.forks;
  zygote.last_used_ns = handed.last_used_ns;
  zygote.audit_policy = handed.audit_policy;
  zygote.spares_min = handed.spares_min;
  zygote.spares_max = handed.spares_max;
  zygote.entry_deadline_ns = handed.entry_deadline_ns;
  zygote.grace_ns = handed.grace_ns;
  zygote.given_fds = std::move(handed.given_fds);
  zygote.audit = std::move(handed.audit);
  if (handed.refused) {
    zygote.refused = protocol::FromWire(std::move(*handed.refused));
  }
  zygote.canary = Take(handed.canary);
  zygote.unbegun_in_a_row = static_cast<int>(handed.unbegun_in_a_row);
  zygote.quarantine = std::move(handed.quarantine);
  zygote.entries = std::move(handed.entries);
  zygote.preloads = std::move(handed.preloads);
  zygote.pristine = handed.pristine;
  zygote.dirty = std::move(handed.dirty);
  return zygote;
}

}  // namespace

protocol::HandedSupervisor Supervisor::WriteDown() const {
  protocol::HandedSupervisor handed;
  handed.instance = ids_.instance();
  handed.last_key = Hand(ids_.last());
  handed.launched = launched_;
  for (const auto& [key, worker] : workers_) {
    handed.workers.push_back(Hand(worker));
  }
  for (const auto& [key, zygote] : zygotes_.all()) {
    handed.zygotes.push_back(Hand(zygote));
  }
  for (const ProcessKey key : records_.order()) {
    handed.records.push_back({Hand(key), *records_.Find(key)});
  }
  for (const Deadline& one : deadlines_.all()) {
    handed.deadlines.push_back(
        {one.at_ns, Hand(one.key), static_cast<std::int64_t>(one.kind)});
  }
  handed.trees_to_stop.assign(trees_to_stop_.begin(), trees_to_stop_.end());
  handed.trees_to_end.assign(trees_to_end_.begin(), trees_to_end_.end());
  return handed;
}

void Supervisor::Resume(protocol::HandedSupervisor handed) {
  ids_ = WorkerIds(options_.instance, Take(handed.last_key));
  launched_ = handed.launched;
  for (protocol::HandedWorker& one : handed.workers) {
    Worker worker = Take(std::move(one));
    worker.id = ids_.IdOf(worker.key);
    if (!worker.detach) owned_[worker.owner].insert(worker.key);
    workers_[worker.key] = std::move(worker);
  }
  for (protocol::HandedZygote& one : handed.zygotes) {
    Zygote zygote = Take(std::move(one));
    zygote.id = ids_.IdOf(zygote.key);
    zygotes_.Add(std::move(zygote));
  }
  for (protocol::HandedRecord& one : handed.records) {
    records_.Add(Take(one.key), std::move(one.record));
  }
  for (const protocol::HandedDeadline& one : handed.deadlines) {
    const auto kind = static_cast<DeadlineKind>(one.kind);
    if (kind != DeadlineKind::kTrees) {
      AddDeadline({one.at_ns, Take(one.key), kind});
    }
  }
  trees_to_stop_.assign(handed.trees_to_stop.begin(),
                        handed.trees_to_stop.end());
  trees_to_end_.assign(handed.trees_to_end.begin(), handed.trees_to_end.end());
  if (!trees_to_stop_.empty() || !trees_to_end_.empty()) LookAtTreesSoon(0);
}

}  // namespace forkserver::server
