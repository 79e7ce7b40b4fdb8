// The part of Services that makes the runs of a service and hears of them.
#include <algorithm>
#include <utility>

#include "sdk/process/platform.h"
#include "sdk/protocol/codec.h"
#include "server/services/restart_decision.h"
#include "server/services/services.h"

namespace forkserver::server {
namespace {

constexpr std::int64_t kNsPerMs = 1'000'000;
// Of ready "exec": from the end of one try to the next, and the most that one
// may take.
constexpr std::int64_t kProbeEveryMs = 250;
constexpr std::int64_t kProbeTimeoutMs = 10'000;

}  // namespace

void Services::Launch(Service& service) {
  const ServicePolicy& policy = service.definition.policy;
  ++service.runs;
  if (!service.asked) ++service.restarts;
  service.failure.clear();
  service.status.clear();
  service.why.clear();
  service.launched = false;
  service.said_ready = false;
  service.run_begun_ns = MonotonicNanoseconds();
  // First, so that a run that nobody has written down cannot be.
  service.worker = supervisor_.NextId();
  if (auto made = MakeFolder(); !made) {
    OnRunOver(service, nullptr, made.error().ToString());
    return;
  }
  if (auto saved = Save(service); !saved) {
    OnRunOver(service, nullptr,
              "its state cannot be saved: " + saved.error().ToString());
    return;
  }
  Result<ProcessKey> run = StartWorker(service);
  if (!run) {
    OnRunOver(service, nullptr, run.error().ToString());
    return;
  }
  service.run = *run;
  runs_[*run] = service.number;
  if (auto watched = WatchReadiness(service); !watched) {
    // It cannot be heard, so it will not be ready in time.
    service.why = watched.error().ToString();
  }
  if (policy.ready != ReadyKind::kNone && policy.ready_timeout_ms > 0) {
    Schedule(service, &Service::ready_until_ns,
             service.run_begun_ns + policy.ready_timeout_ms * kNsPerMs);
  }
}

Result<ProcessKey> Services::StartWorker(Service& service) {
  const ServiceDefinition& definition = service.definition;
  protocol::Setup setup = definition.setup;
  std::vector<UniqueFd> fds;
  SetVariable(setup.env, "FORKSERVER_SERVICE", service.name);
  auto readiness = Readiness::Prepare(
      definition.policy,
      options_.folder + "/notify." + std::to_string(service.number), setup,
      fds);
  if (!readiness) return readiness.error();
  if (auto opened = OpenLog(service, setup, fds); !opened) {
    return opened.error();
  }
  protocol::Policy policy;
  policy.name = service.name;
  policy.timeout_ms = definition.policy.timeout_ms;
  policy.grace_ms = definition.policy.grace_ms;
  policy.stop_signal = definition.policy.stop_signal;
  policy.detach = definition.policy.detach;
  policy.cgroup = definition.policy.cgroup;
  const Supervisor::Requester requester = {kServicesOwner, definition.limits,
                                           service.run_begun_ns};
  if (policy.detach && definition.zygote.empty()) {
    Result<UniqueFd> held = HoldLaunch();
    if (!held) return held.error();
    service.launch_lock = std::move(*held);
  }
  protocol::Bytes encoded = {protocol::EncodeBody(setup)};
  Result<ProcessKey> key =
      definition.zygote.empty()
          ? supervisor_.Spawn(requester, {std::move(encoded), policy}, fds,
                              service.launch_lock.get())
          : supervisor_.Fork(requester,
                             {definition.zygote, std::move(encoded), policy},
                             std::move(fds));
  if (key) service.readiness = std::move(*readiness);
  return key;
}

Result<void> Services::WatchReadiness(const Service& service) {
  for (const int fd : {service.readiness.pipe(), service.readiness.socket()}) {
    if (fd < 0) continue;
    if (auto added = poll_set_.Add(fd, service.number); !added) return added;
  }
  return {};
}

void Services::DropReadiness(Service& service) {
  for (const int fd : {service.readiness.pipe(), service.readiness.socket()}) {
    if (fd >= 0) poll_set_.Remove(fd);
  }
  service.readiness = Readiness();
}

void Services::Process() {
  std::vector<PollSet::Event> ready;
  static_cast<void>(poll_set_.Wait(0, ready));
  for (const PollSet::Event& event : ready) {
    if (Service* const service = ByNumber(event.token)) Hear(*service);
  }
  HearLogWriter();
  const std::int64_t now_ns = MonotonicNanoseconds();
  if (restart_log_writer_ns_ != 0 && restart_log_writer_ns_ <= now_ns) {
    RestartLogWriter();
  }
  while (!timers_.empty() && timers_.begin()->first <= now_ns) {
    Service* const service = ByNumber(timers_.begin()->second);
    if (service == nullptr) {
      timers_.erase(timers_.begin());
      continue;
    }
    OnTime(*service, now_ns);
  }
  CheckWaiting();
}

void Services::Hear(Service& service) {
  const Readiness::Said said = service.readiness.Read();
  if (service.readiness.pipe_is_done()) {
    poll_set_.Remove(service.readiness.pipe());
    service.readiness.ClosePipe();
  }
  if (said.status && *said.status != service.status) {
    service.status = *said.status;
    Publish(service);
  }
  if (said.ready) BecomeReady(service);
  if (said.alive && service.watchdog_until_ns != 0) ArmWatchdog(service);
  if (said.silent) Fail(service, "it gave itself up with WATCHDOG=trigger");
}

void Services::BecomeReady(Service& service) {
  if (service.state != ServiceState::kStarting) return;
  // Its own word may come before that of its launch, without which nobody knows
  // its pid.
  service.said_ready = true;
  if (!service.launched) return;
  Schedule(service, &Service::ready_until_ns, 0);
  StopProbe(service);
  On(service, ServiceEvent::kReady);
  if (service.definition.policy.watchdog_ms > 0) ArmWatchdog(service);
}

void Services::ArmWatchdog(Service& service) {
  Schedule(service, &Service::watchdog_until_ns,
           MonotonicNanoseconds() +
               service.definition.policy.watchdog_ms * kNsPerMs);
}

void Services::Fail(Service& service, std::string why) {
  Note(service, why);
  if (service.failure.empty()) service.failure = std::move(why);
  On(service, ServiceEvent::kUnready);
}

void Services::OnTime(Service& service, std::int64_t now_ns) {
  const ServicePolicy& policy = service.definition.policy;
  const auto take = [&](std::int64_t Service::*when) {
    if (service.*when == 0 || service.*when > now_ns) return false;
    Schedule(service, when, 0);
    return true;
  };
  if (take(&Service::backoff_until_ns)) {
    On(service, ServiceEvent::kBackoffOver);
  }
  if (take(&Service::probe_at_ns)) StartProbe(service);
  if (take(&Service::ready_until_ns)) {
    Fail(service, "it was not ready within " +
                      std::to_string(policy.ready_timeout_ms) + " ms");
  }
  if (take(&Service::watchdog_until_ns)) {
    Fail(service, "it sent no WATCHDOG=1 for " +
                      std::to_string(policy.watchdog_ms) + " ms");
  }
}

// --- probes -----------------------------------------------------------------

void Services::StartProbe(Service& service) {
  if (service.state != ServiceState::kStarting || service.probe != 0) return;
  protocol::Setup setup = service.definition.setup;
  setup.argv = service.definition.policy.ready_command;
  setup.entry.clear();
  setup.args.data.clear();
  SetVariable(setup.env, "FORKSERVER_SERVICE", service.name);
  protocol::Policy policy;
  policy.name = service.name + ":ready";
  policy.timeout_ms = kProbeTimeoutMs;
  policy.grace_ms = 0;
  const Supervisor::Requester requester = {
      kServicesOwner, service.definition.limits, MonotonicNanoseconds()};
  Result<ProcessKey> key =
      supervisor_.Spawn(requester, {{protocol::EncodeBody(setup)}, policy}, {});
  if (!key) {
    OnProbeEnded(service, key.error().ToString());
    return;
  }
  service.probe = *key;
  probes_[*key] = service.number;
}

void Services::StopProbe(Service& service) {
  Schedule(service, &Service::probe_at_ns, 0);
  if (service.probe == 0) return;
  static_cast<void>(supervisor_.Stop(supervisor_.IdOf(service.probe), 0));
  probes_.erase(service.probe);
  service.probe = 0;
}

void Services::OnProbeEnded(Service& service, std::string failure) {
  service.probe = 0;
  if (failure.empty()) {
    BecomeReady(service);
  } else if (service.state == ServiceState::kStarting) {
    service.probe_failure = std::move(failure);
    Schedule(service, &Service::probe_at_ns,
             MonotonicNanoseconds() + kProbeEveryMs * kNsPerMs);
  }
}

// --- what the supervisor tells ----------------------------------------------

void Services::Observe(const std::vector<SupervisorEvent>& events) {
  for (const SupervisorEvent& event : events) {
    std::visit([this](const auto& one) { Observe(one); }, event);
  }
  CheckWaiting();
}

void Services::Observe(const WorkerLaunched& event) {
  const auto run = runs_.find(event.key);
  if (run == runs_.end()) return;
  Service& service = *ByNumber(run->second);
  service.pid = static_cast<pid_t>(event.worker.pid);
  service.launched = true;
  service.launch_lock.Reset();
  service.start_time = ReadStartTime(service.pid);
  SaveOrSay(service);
  Note(service, "it is worker " + event.worker.id + ", pid " +
                    std::to_string(event.worker.pid));
  switch (service.definition.policy.ready) {
    case ReadyKind::kNone:
      BecomeReady(service);
      break;
    case ReadyKind::kExec:
      Publish(service);
      StartProbe(service);
      break;
    case ReadyKind::kFd:
    case ReadyKind::kLine:
    case ReadyKind::kNotify:
      if (service.said_ready) {
        BecomeReady(service);
      } else {
        Publish(service);
      }
      break;
  }
}

void Services::Observe(const WorkerLaunchFailed& event) {
  if (const auto run = runs_.find(event.key); run != runs_.end()) {
    OnRunOver(*ByNumber(run->second), nullptr, event.error.ToString());
  } else if (const auto probe = probes_.find(event.key);
             probe != probes_.end()) {
    Service& service = *ByNumber(probe->second);
    probes_.erase(probe);
    OnProbeEnded(service, event.error.ToString());
  }
}

void Services::Observe(const WorkerEnded& event) {
  const ExitRecord& record = *event.worker.exit;
  if (const auto run = runs_.find(event.key); run != runs_.end()) {
    OnRunOver(*ByNumber(run->second), &record, {});
  } else if (const auto probe = probes_.find(event.key);
             probe != probes_.end()) {
    Service& service = *ByNumber(probe->second);
    probes_.erase(probe);
    OnProbeEnded(service,
                 record.code == 0 ? std::string() : DescribeEnd(record));
  }
}

void Services::OnRunOver(Service& service, const ExitRecord* record,
                         const std::string& launch_failure) {
  const ServicePolicy& policy = service.definition.policy;
  const std::int64_t now_ns = MonotonicNanoseconds();
  StopProbe(service);
  DropReadiness(service);
  Note(service, record != nullptr ? "it has ended: " + DescribeEnd(*record)
                                  : launch_failure);
  CloseLog(service);
  Schedule(service, &Service::ready_until_ns, 0);
  Schedule(service, &Service::watchdog_until_ns, 0);
  runs_.erase(service.run);
  service.run = 0;
  service.pid = 0;
  service.launch_lock.Reset();
  service.start_time = 0;
  service.worker.clear();
  service.first_worker.clear();
  if (record != nullptr) service.exit = *record;

  EndedRun run;
  run.record = record;
  run.failure = launch_failure.empty() ? service.failure : launch_failure;
  if (!service.failure.empty() && !service.probe_failure.empty()) {
    run.failure += "; its check last said: " + service.probe_failure;
  }
  service.probe_failure.clear();
  run.lasted_ms = (now_ns - service.run_begun_ns) / kNsPerMs;
  const bool by_itself = service.state == ServiceState::kStarting ||
                         service.state == ServiceState::kRunning ||
                         service.state == ServiceState::kFailing;
  if (by_itself) {
    service.short_runs =
        IsShort(policy, run.lasted_ms) ? service.short_runs + 1 : 0;
    run.short_runs = service.short_runs;
  }
  RestartDecision decision = DecideRestart(policy, run);
  if (record == nullptr && service.asked) {
    // Whoever asked for it is to hear of a typing error at once.
    decision = {ServiceEvent::kEndedBadly, launch_failure};
  }
  if (by_itself) service.asked = false;
  if (shutting_down_) decision.event = ServiceEvent::kEndedBadly;
  service.why = by_itself ? decision.why : std::string();
  On(service, decision.event);
  if (service.remove && service.state == ServiceState::kStopped) {
    Remove(service);
  }
}

void Services::BackOff(Service& service) {
  const std::int64_t delay_ms = BackoffMs(
      service.definition.policy, std::max<std::int64_t>(service.short_runs, 1),
      static_cast<std::uint32_t>(random_()));
  Schedule(service, &Service::backoff_until_ns,
           MonotonicNanoseconds() + delay_ms * kNsPerMs);
}

}  // namespace forkserver::server
