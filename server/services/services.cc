#include "server/services/services.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <functional>

#include "sdk/process/platform.h"
#include "sdk/process/worker_variable.h"
#include "sdk/protocol/codec.h"

namespace forkserver::server {
namespace {

constexpr std::size_t kMaxServices = 16384;
constexpr std::size_t kMaxNameBytes = 64;

Error Bad(std::string message, std::string hint = {}) {
  return MakeError(error_code::kBadRequest, std::move(message),
                   std::move(hint));
}

// It is part of file names.
bool IsGoodName(const std::string& name) {
  const auto good = [](char letter) {
    return (letter >= 'a' && letter <= 'z') ||
           (letter >= 'A' && letter <= 'Z') ||
           (letter >= '0' && letter <= '9') || letter == '_' || letter == '-' ||
           letter == '.' || letter == '@' || letter == ':';
  };
  return !name.empty() && name.size() <= kMaxNameBytes && name[0] != '.' &&
         name[0] != '-' && std::all_of(name.begin(), name.end(), good);
}

Result<void> CheckRange(const char* what, std::int64_t value, std::int64_t from,
                        std::int64_t to) {
  if (value >= from && value <= to) return {};
  return Bad(std::string("'policy.") + what + "' must be in " +
             std::to_string(from) + ".." + std::to_string(to) + ", not " +
             std::to_string(value));
}

Result<void> CheckPolicy(const ServicePolicy& policy) {
  const struct {
    const char* name;
    std::int64_t value;
    std::int64_t from;
    std::int64_t to;
  } ranges[] = {
      {"backoff_initial_ms", policy.backoff_initial_ms, 0, kMaxDurationMs},
      {"backoff_factor", policy.backoff_factor, 1, 1000},
      {"backoff_max_ms", policy.backoff_max_ms, 0, kMaxDurationMs},
      {"backoff_jitter_percent", policy.backoff_jitter_percent, 0, 100},
      {"reset_after_ms", policy.reset_after_ms, 0, kMaxDurationMs},
      {"start_limit", policy.start_limit, 0, INT32_MAX},
      {"ready_timeout_ms", policy.ready_timeout_ms, 0, kMaxDurationMs},
      {"watchdog_ms", policy.watchdog_ms, 0, kMaxDurationMs},
      {"grace_ms", policy.grace_ms, 0, kMaxDurationMs},
      {"timeout_ms", policy.timeout_ms, 0, kMaxDurationMs},
      {"stop_signal", policy.stop_signal, 1, NSIG - 1},
      {"ready_fd", policy.ready_fd, 3, 1023},
      {"log_max_bytes", policy.log_max_bytes, 0, INT64_MAX},
      {"log_files", policy.log_files, 1, 1000},
  };
  for (const auto& range : ranges) {
    auto checked = CheckRange(range.name, range.value, range.from, range.to);
    if (!checked) return checked;
  }
  for (const std::int64_t code : policy.success_exit_codes) {
    auto checked = CheckRange("success_exit_codes", code, 0, 255);
    if (!checked) return checked;
  }
  if (policy.ready == ReadyKind::kLine && policy.ready_line.empty()) {
    return Bad("'policy.ready' is 'line', and 'policy.ready_line' is empty");
  }
  if (policy.ready == ReadyKind::kLine && policy.log_max_bytes == 0) {
    return Bad("'policy.ready' is 'line', and its output is not kept",
               "'policy.log_max_bytes' must not be 0 then");
  }
  if (policy.pty && policy.log_max_bytes == 0) {
    return Bad("'policy.pty' is set, and its output is not kept",
               "'policy.log_max_bytes' must not be 0 then");
  }
  if (policy.ready == ReadyKind::kExec &&
      (policy.ready_command.empty() || policy.ready_command[0].empty())) {
    return Bad("'policy.ready' is 'exec', and 'policy.ready_command' is empty");
  }
  return {};
}

bool IsUp(ServiceState state) {
  return state == ServiceState::kStarting || state == ServiceState::kRunning ||
         state == ServiceState::kStopping ||
         state == ServiceState::kRestarting || state == ServiceState::kFailing;
}

Error UnknownService(const std::string& name) {
  return MakeError(error_code::kUnknownService,
                   "there is no service '" + name + "'",
                   "see `forkserver services` for those that are known");
}

// What it is, or what it will be once it is stopped.
const ServiceDefinition& CurrentDefinition(const Service& service) {
  return service.next_definition ? *service.next_definition
                                 : service.definition;
}

// Who is after it would wait in vain.
bool IsDown(ServiceState state) {
  return state == ServiceState::kStopped || state == ServiceState::kFailed;
}

}  // namespace

Result<std::unique_ptr<Services>> Services::Create(Supervisor& supervisor,
                                                   Options options) {
  Result<PollSet> poll_set = PollSet::Create();
  if (!poll_set) return poll_set.error();
  return std::unique_ptr<Services>(
      new Services(supervisor, std::move(*poll_set), std::move(options)));
}

Services::Services(Supervisor& supervisor, PollSet poll_set, Options options)
    : supervisor_(supervisor),
      poll_set_(std::move(poll_set)),
      options_(std::move(options)),
      random_(static_cast<std::uint32_t>(MonotonicNanoseconds())) {}

// --- requests ---------------------------------------------------------------

Result<void> Services::Check(const protocol::ServiceStart& request) const {
  if (shutting_down_) {
    return MakeError(error_code::kDaemonStopping,
                     "forkserverd is stopping and takes no new work",
                     "connect again: a client starts a new one");
  }
  if (!IsGoodName(request.name)) {
    return Bad("'" + request.name + "' cannot be the name of a service",
               "a name has 1 to 64 of the letters a-z, A-Z, 0-9, _ - . @ : "
               "and does not begin with - or .");
  }
  if (request.setup.data.empty()) return {};
  if (auto checked = CheckPolicy(request.policy); !checked) return checked;
  if (services_.size() >= kMaxServices && services_.count(request.name) == 0) {
    return MakeError(
        error_code::kLimitReached,
        "there are " + std::to_string(kMaxServices) + " services already",
        "remove some: `forkserver remove NAME`");
  }
  return CheckDependencies(request);
}

// A start by hand of a project's service leaves it the project's: its next
// `reload` sees what has changed.
Result<void> Services::CheckProject(
    const protocol::ServiceStart& request) const {
  const Service* const service = Find(request.name);
  if (service == nullptr || request.project.empty() ||
      request.project == service->project) {
    return {};
  }
  return MakeError(
      error_code::kServiceConflict,
      "there is a service '" + request.name + "' already, " +
          (service->project.empty() ? "which belongs to no project"
                                    : "which belongs to " + service->project),
      "call it otherwise, or `forkserver remove " + request.name + "`");
}

Result<void> Services::CheckDependencies(
    const protocol::ServiceStart& request) const {
  // Every service that it would be after, near and far.
  std::set<std::string> seen;
  std::vector<std::string> todo = request.policy.after;
  while (!todo.empty()) {
    const std::string name = std::move(todo.back());
    todo.pop_back();
    if (name == request.name) {
      return Bad("service '" + request.name + "' would be after itself",
                 "take one of the 'after' away that lead back to it");
    }
    if (!seen.insert(name).second) continue;
    const Service* const service = Find(name);
    if (service == nullptr) {
      return MakeError(error_code::kUnknownService,
                       "'" + request.name + "' is to be after '" + name +
                           "', and there is no such service",
                       "start that one before");
    }
    const auto& after = service->definition.policy.after;
    todo.insert(todo.end(), after.begin(), after.end());
  }
  return {};
}

Result<ServiceDefinition> Services::MakeDefinition(
    const Supervisor::Requester& requester, protocol::ServiceStart request) {
  auto setup = protocol::DecodeBody<protocol::Setup>(request.setup.data);
  if (!setup) return setup.error();
  ServiceDefinition definition;
  definition.zygote = std::move(request.zygote);
  definition.setup = std::move(*setup);
  definition.policy = std::move(request.policy);
  definition.limits = requester.limits;
  if (!definition.setup.fds.empty() || definition.setup.result) {
    return Bad("a service takes no descriptors of its client",
               "its input is /dev/null, its output goes to its log");
  }
  if (definition.zygote.empty() && definition.setup.argv.empty()) {
    return Bad("a service needs a command, or a zygote and an entry");
  }
  // What a client has from being a worker or a service itself is not for its
  // services.
  for (const char* const own :
       {kWorkerVariable, "FORKSERVER_SERVICE", "NOTIFY_SOCKET", "WATCHDOG_USEC",
        "WATCHDOG_PID"}) {
    RemoveVariable(definition.setup.env, own);
  }
  return definition;
}

Result<void> Services::Start(const Supervisor::Requester& requester,
                             protocol::ServiceStart request) {
  if (auto checked = Check(request); !checked) return checked;
  const std::string name = request.name;
  if (request.setup.data.empty()) {
    auto known = FindKnown(name);
    if (!known) return known.error();
    On(**known, ServiceEvent::kStart);
    CheckWaiting();
    return {};
  }
  if (auto checked = CheckProject(request); !checked) return checked;
  const bool replace = request.replace;
  std::string project = std::move(request.project);
  auto definition = MakeDefinition(requester, std::move(request));
  if (!definition) return definition.error();
  const auto found = services_.find(name);
  if (found != services_.end()) {
    return Redefine(found->second, std::move(*definition), replace);
  }
  Service& service = services_[name];
  service.number = ++last_number_;
  service.name = name;
  service.project = std::move(project);
  service.since_ns = MonotonicNanoseconds();
  numbers_[service.number] = &service;
  Define(service, std::move(*definition));
  On(service, ServiceEvent::kStart);
  CheckWaiting();
  return {};
}

Result<std::string> Services::Compare(const Supervisor::Requester& requester,
                                      protocol::ServiceStart request) const {
  const Service* const service = Find(request.name);
  if (service == nullptr) return UnknownService(request.name);
  if (auto checked = CheckProject(request); !checked) return checked.error();
  auto definition = MakeDefinition(requester, std::move(request));
  if (!definition) return definition.error();
  return DescribeDifference(CurrentDefinition(*service), *definition);
}

Result<void> Services::Redefine(Service& service, ServiceDefinition definition,
                                bool replace) {
  const std::string difference =
      DescribeDifference(CurrentDefinition(service), definition);
  service.remove = false;
  if (!IsUp(service.state)) {
    Define(service, std::move(definition));
    service.next_definition.reset();
    On(service, ServiceEvent::kStart);
    CheckWaiting();
    return {};
  }
  if (difference.empty()) {
    On(service, ServiceEvent::kStart);
    return {};
  }
  if (!replace) {
    return MakeError(error_code::kServiceConflict,
                     "service '" + service.name + "' is " +
                         std::string(NameOf(service.state)) +
                         " and differs in " + difference,
                     "stop it before, or ask for it to be replaced");
  }
  service.next_definition = std::move(definition);
  On(service, ServiceEvent::kRestart);
  return {};
}

Result<Service*> Services::FindKnown(const std::string& name) {
  const auto found = services_.find(name);
  if (found != services_.end()) return &found->second;
  return UnknownService(name);
}

Result<void> Services::Stop(const protocol::ServiceStop& request) {
  if (request.grace_ms &&
      (*request.grace_ms < 0 || *request.grace_ms > kMaxDurationMs)) {
    return Bad("'grace_ms' must be in 0.." + std::to_string(kMaxDurationMs));
  }
  auto known = FindKnown(request.name);
  if (!known) return known.error();
  Service& service = **known;
  service.stop_grace_ms = request.grace_ms;
  if (request.remove) service.remove = true;
  service.next_definition.reset();
  On(service, ServiceEvent::kStop);
  if (service.remove && service.state == ServiceState::kStopped) {
    Remove(service);
  }
  CheckWaiting();
  return {};
}

Result<void> Services::Restart(const std::string& name) {
  auto known = FindKnown(name);
  if (!known) return known.error();
  On(**known, ServiceEvent::kRestart);
  CheckWaiting();
  return {};
}

const Service* Services::Find(const std::string& name) const {
  const auto found = services_.find(name);
  return found == services_.end() ? nullptr : &found->second;
}

ServiceInfo Services::InfoOf(const Service& service) const {
  const ServiceDefinition& definition = service.definition;
  ServiceInfo info;
  info.name = service.name;
  info.state = service.state;
  info.worker = service.worker;
  info.pid = service.pid;
  info.zygote = definition.zygote;
  info.runs = service.runs;
  info.restarts = service.restarts;
  info.since_ns = service.since_ns;
  info.next_ns = service.backoff_until_ns;
  info.status = service.status;
  info.why = service.why;
  info.argv = definition.setup.argv;
  info.policy = definition.policy;
  info.project = service.project;
  info.log = LogPath(service);
  info.exit = service.exit;
  return info;
}

std::vector<ServiceInfo> Services::All() const {
  std::vector<ServiceInfo> all;
  all.reserve(services_.size());
  for (const auto& [name, service] : services_) all.push_back(InfoOf(service));
  return all;
}

std::vector<ServiceChanged> Services::TakeEvents() {
  return std::exchange(events_, {});
}

// --- shutdown ---------------------------------------------------------------

void Services::BeginShutdown() {
  shutting_down_ = true;
  std::vector<std::uint64_t> numbers;
  for (const auto& [name, service] : services_) {
    numbers.push_back(service.number);
  }
  for (const std::uint64_t number : numbers) {
    if (Service* const service = ByNumber(number)) StopIfLast(*service);
  }
  // Nothing happens any more to those that were stopped before.
  for (auto& [name, service] : services_) {
    if (service.state == ServiceState::kStopped) SaveOrSay(service);
  }
}

void Services::StopIfLast(Service& service) {
  const auto followers = followers_.find(service.name);
  if (followers != followers_.end()) {
    for (const std::uint64_t number : followers->second) {
      if (IsUp(ByNumber(number)->state)) return;
    }
  }
  service.next_definition.reset();
  On(service, ServiceEvent::kStop);
}

std::chrono::milliseconds Services::LongestShutdown() const {
  // From each service on, by those before it. There are no circles.
  std::unordered_map<const Service*, std::int64_t> known;
  const std::function<std::int64_t(const Service&)> from =
      [&](const Service& service) {
        const auto [at, added] = known.emplace(&service, 0);
        if (!added) return at->second;
        std::int64_t longest_ms = 0;
        for (const std::string& name : service.definition.policy.after) {
          const Service* const before = Find(name);
          if (before != nullptr) {
            longest_ms = std::max(longest_ms, from(*before));
          }
        }
        longest_ms += service.definition.policy.grace_ms;
        known[&service] = longest_ms;
        return longest_ms;
      };
  std::int64_t longest_ms = 0;
  for (const auto& [name, service] : services_) {
    if (IsUp(service.state)) longest_ms = std::max(longest_ms, from(service));
  }
  return std::chrono::milliseconds(longest_ms);
}

// --- the table --------------------------------------------------------------

void Services::On(Service& service, ServiceEvent event) {
  const ServiceStep step = Next(service.state, event);
  if (step.next != service.state) {
    if (event == ServiceEvent::kStart || event == ServiceEvent::kRestart) {
      // Somebody looked at it and wants it: what was before does not count.
      service.short_runs = 0;
      service.why.clear();
      service.asked = true;
      service.start_others = true;
    }
    service.state = step.next;
    service.since_ns = MonotonicNanoseconds();
    Schedule(service, &Service::backoff_until_ns, 0);
    if (step.action == ServiceAction::kBackOff) BackOff(service);
    const auto followers = followers_.find(service.name);
    if (followers != followers_.end()) {
      to_check_.insert(to_check_.end(), followers->second.begin(),
                       followers->second.end());
    }
    // A launch saves by itself.
    if (step.action != ServiceAction::kLaunch) SaveOrSay(service);
    Publish(service);
    if (shutting_down_ && !IsUp(service.state)) {
      for (const std::string& name : service.definition.policy.after) {
        const auto before = services_.find(name);
        if (before != services_.end()) StopIfLast(before->second);
      }
    }
  }
  switch (step.action) {
    case ServiceAction::kNone:
    case ServiceAction::kBackOff:
      break;
    case ServiceAction::kCheckDependencies:
      if (service.next_definition) {
        Define(service, std::move(*service.next_definition));
        service.next_definition.reset();
      }
      to_check_.push_back(service.number);
      break;
    case ServiceAction::kLaunch:
      service.stop_grace_ms.reset();
      Launch(service);
      break;
    case ServiceAction::kStopTree:
      static_cast<void>(supervisor_.Stop(
          service.worker, service.state == ServiceState::kStopping
                              ? service.stop_grace_ms
                              : std::nullopt));
      break;
    case ServiceAction::kKillTree:
      static_cast<void>(supervisor_.Stop(service.worker, 0));
      break;
  }
}

void Services::Publish(const Service& service, bool removed) {
  events_.push_back({InfoOf(service), removed});
}

void Services::Remove(Service& service) {
  Publish(service, /*removed=*/true);
  if (service.saved) ::unlink(SavedPath(service.name).c_str());
  Undefine(service);
  const auto followers = followers_.find(service.name);
  if (followers != followers_.end()) {
    to_check_.insert(to_check_.end(), followers->second.begin(),
                     followers->second.end());
  }
  timers_.erase({service.NextNs(), service.number});
  numbers_.erase(service.number);
  services_.erase(service.name);
  if (services_.empty()) StopLogWriter();
}

void Services::Define(Service& service, ServiceDefinition definition) {
  Undefine(service);
  service.definition = std::move(definition);
  for (const std::string& name : service.definition.policy.after) {
    followers_[name].insert(service.number);
  }
}

void Services::Undefine(Service& service) {
  for (const std::string& name : service.definition.policy.after) {
    const auto followers = followers_.find(name);
    if (followers == followers_.end()) continue;
    followers->second.erase(service.number);
    if (followers->second.empty()) followers_.erase(followers);
  }
}

void Services::Schedule(Service& service, std::int64_t Service::*when,
                        std::int64_t at_ns) {
  timers_.erase({service.NextNs(), service.number});
  service.*when = at_ns;
  if (const std::int64_t next_ns = service.NextNs(); next_ns != 0) {
    timers_.insert({next_ns, service.number});
  }
}

std::optional<std::int64_t> Services::NextDeadlineNs() const {
  std::optional<std::int64_t> next_ns;
  if (!timers_.empty()) next_ns = timers_.begin()->first;
  if (restart_log_writer_ns_ != 0 &&
      (!next_ns || restart_log_writer_ns_ < *next_ns)) {
    next_ns = restart_log_writer_ns_;
  }
  return next_ns;
}

void Services::CheckWaiting() {
  while (!to_check_.empty()) {
    Service* const service = ByNumber(to_check_.front());
    to_check_.pop_front();
    if (service != nullptr && service->state == ServiceState::kWaiting) {
      CheckWaiting(*service);
    }
  }
}

void Services::CheckWaiting(Service& service) {
  const bool start_others = std::exchange(service.start_others, false);
  bool met = true;
  for (const std::string& name : service.definition.policy.after) {
    const auto found = services_.find(name);
    ServiceState state = ServiceState::kStopped;
    if (found != services_.end()) {
      state = found->second.state;
      if (start_others && IsDown(state)) {
        On(found->second, ServiceEvent::kStart);
        state = found->second.state;
      }
    }
    if (IsDown(state)) {
      service.why = "service '" + name + "', which it is after, is " +
                    (found == services_.end() ? "not known any more"
                                              : std::string(NameOf(state)));
      On(service, ServiceEvent::kDependencyFailed);
      return;
    }
    met = met &&
          (state == ServiceState::kRunning || state == ServiceState::kFinished);
  }
  if (met) On(service, ServiceEvent::kDependenciesMet);
}

Service* Services::ByNumber(std::uint64_t number) {
  const auto found = numbers_.find(number);
  return found == numbers_.end() ? nullptr : found->second;
}

}  // namespace forkserver::server
