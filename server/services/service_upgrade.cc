// The part of Services that crosses an upgrade: what is written down of it, and
// made of that again.
#include <utility>

#include "sdk/process/platform.h"
#include "sdk/protocol/codec.h"
#include "server/services/services.h"

namespace forkserver::server {
namespace {

std::int64_t Hand(std::uint64_t key) { return static_cast<std::int64_t>(key); }
std::uint64_t Take(std::int64_t key) { return static_cast<std::uint64_t>(key); }

protocol::HandedDefinition Hand(const ServiceDefinition& definition) {
  return {definition.zygote,
          {protocol::EncodeBody(definition.setup)},
          definition.policy,
          definition.limits};
}

ServiceDefinition Take(protocol::HandedDefinition handed) {
  ServiceDefinition definition;
  definition.zygote = std::move(handed.zygote);
  // It was encoded by this very codec.
  if (auto setup = protocol::DecodeBody<protocol::Setup>(handed.setup.data)) {
    definition.setup = std::move(*setup);
  }
  definition.policy = std::move(handed.policy);
  definition.limits = std::move(handed.limits);
  return definition;
}

protocol::HandedService Hand(const Service& service, HandedFds& fds) {
  protocol::HandedService handed;
  handed.number = Hand(service.number);
  handed.name = service.name;
  handed.project = service.project;
  handed.definition = Hand(service.definition);
  if (service.next_definition) {
    handed.next_definition = Hand(*service.next_definition);
  }
  handed.state = service.state;
  handed.since_ns = service.since_ns;
  handed.runs = service.runs;
  handed.restarts = service.restarts;
  handed.short_runs = service.short_runs;
  handed.why = service.why;
  handed.exit = service.exit;
  handed.stop_grace_ms = service.stop_grace_ms;
  handed.remove = service.remove;
  handed.saved = service.saved;
  handed.asked = service.asked;
  handed.start_others = service.start_others;
  handed.run = Hand(service.run);
  handed.worker = service.worker;
  handed.first_worker = service.first_worker;
  handed.pid = service.pid;
  handed.start_time = service.start_time;
  handed.launched = service.launched;
  handed.launch_lock = fds.Add(service.launch_lock);
  handed.said_ready = service.said_ready;
  handed.run_begun_ns = service.run_begun_ns;
  handed.failure = service.failure;
  handed.status = service.status;
  handed.readiness = service.readiness.WriteDown(fds);
  handed.log = Hand(service.log);
  handed.probe = Hand(service.probe);
  handed.probe_failure = service.probe_failure;
  handed.backoff_until_ns = service.backoff_until_ns;
  handed.ready_until_ns = service.ready_until_ns;
  handed.probe_at_ns = service.probe_at_ns;
  handed.watchdog_until_ns = service.watchdog_until_ns;
  return handed;
}

// Without its definition, which others have to know of.
void Take(protocol::HandedService& handed, Service& service) {
  service.number = Take(handed.number);
  service.name = std::move(handed.name);
  service.project = std::move(handed.project);
  if (handed.next_definition) {
    service.next_definition = Take(std::move(*handed.next_definition));
  }
  service.state = handed.state;
  service.since_ns = handed.since_ns;
  service.runs = handed.runs;
  service.restarts = handed.restarts;
  service.short_runs = handed.short_runs;
  service.why = std::move(handed.why);
  service.exit = std::move(handed.exit);
  service.stop_grace_ms = handed.stop_grace_ms;
  service.remove = handed.remove;
  service.saved = handed.saved;
  service.asked = handed.asked;
  service.start_others = handed.start_others;
  service.run = Take(handed.run);
  service.worker = std::move(handed.worker);
  service.first_worker = std::move(handed.first_worker);
  service.pid = static_cast<pid_t>(handed.pid);
  service.start_time = handed.start_time;
  service.launched = handed.launched;
  service.launch_lock = TakeHanded(handed.launch_lock);
  service.said_ready = handed.said_ready;
  service.run_begun_ns = handed.run_begun_ns;
  service.failure = std::move(handed.failure);
  service.status = std::move(handed.status);
  service.readiness = Readiness::Resume(std::move(handed.readiness));
  service.log = Take(handed.log);
  service.probe = Take(handed.probe);
  service.probe_failure = std::move(handed.probe_failure);
  service.backoff_until_ns = handed.backoff_until_ns;
  service.ready_until_ns = handed.ready_until_ns;
  service.probe_at_ns = handed.probe_at_ns;
  service.watchdog_until_ns = handed.watchdog_until_ns;
}

}  // namespace

protocol::HandedServices Services::WriteDown(HandedFds& fds) const {
  protocol::HandedServices handed;
  for (const auto& [name, service] : services_) {
    handed.services.push_back(Hand(service, fds));
  }
  handed.last_number = Hand(last_number_);
  for (auto [from, to] :
       {std::pair(&runs_, &handed.runs), std::pair(&probes_, &handed.probes),
        std::pair(&logs_, &handed.logs)}) {
    for (const auto& [key, number] : *from) {
      to->push_back({Hand(key), Hand(number)});
    }
  }
  handed.last_log = Hand(last_log_);
  if (log_writer_) handed.log_writer = log_writer_->WriteDown(fds);
  handed.restart_log_writer_ns = restart_log_writer_ns_;
  handed.to_check.assign(to_check_.begin(), to_check_.end());
  return handed;
}

Result<void> Services::Resume(protocol::HandedServices handed) {
  last_number_ = Take(handed.last_number);
  for (protocol::HandedService& one : handed.services) {
    Service& service = services_[one.name];
    Take(one, service);
    numbers_[service.number] = &service;
    Define(service, Take(std::move(one.definition)));
    if (const std::int64_t next_ns = service.NextNs(); next_ns != 0) {
      timers_.insert({next_ns, service.number});
    }
    if (auto watched = WatchReadiness(service); !watched) return watched;
  }
  for (auto [from, to] :
       {std::pair(&handed.runs, &runs_), std::pair(&handed.probes, &probes_),
        std::pair(&handed.logs, &logs_)}) {
    for (const protocol::HandedLink& link : *from) {
      (*to)[Take(link.key)] = Take(link.service);
    }
  }
  last_log_ = Take(handed.last_log);
  restart_log_writer_ns_ = handed.restart_log_writer_ns;
  if (handed.log_writer) {
    log_writer_.emplace(LogWriter::Resume(std::move(*handed.log_writer)));
    WatchNewLogWriter();
  }
  to_check_.assign(handed.to_check.begin(), handed.to_check.end());
  return {};
}

}  // namespace forkserver::server
