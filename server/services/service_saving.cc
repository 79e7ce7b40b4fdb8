// The part of Services that outlives the daemon: a file for each service whose
// runs do, from which the next daemon knows it again.
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sdk/base/text_file.h"
#include "sdk/process/platform.h"
#include "sdk/process/process_tree.h"
#include "sdk/protocol/codec.h"
#include "sdk/protocol/state_messages.h"
#include "server/services/services.h"

namespace forkserver::server {
namespace {

constexpr std::string_view kSuffix = ".service";
constexpr char kLaunches[] = "launches.lock";

// 2 s: what takes longer hangs in a file system.
constexpr int kLooksAtLaunches = 400;
constexpr timespec kBetweenLooks = {0, 5'000'000};

std::vector<std::string> ListSaved(const std::string& folder) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> files(::opendir(folder.c_str()),
                                                  &::closedir);
  while (const dirent* const entry = files ? ::readdir(files.get()) : nullptr) {
    const std::string_view file = entry->d_name;
    if (file.ends_with(kSuffix)) {
      names.emplace_back(file.substr(0, file.size() - kSuffix.size()));
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

// An exec worker that was being launched: its pid was not written down yet.
pid_t FindLeader(const std::string& worker) {
  for (int i = 0; i < kLooksAtLaunches; ++i) {
    const Orphans found =
        FindByWorker([&](const std::string& id) { return id == worker; });
    for (const auto& [id, pids] : found.of_worker) {
      for (const pid_t pid : pids) {
        if (::getpgid(pid) == pid) return pid;
      }
    }
    if (!found.unclear) break;
    ::nanosleep(&kBetweenLooks, nullptr);
  }
  return 0;
}

bool IsWanted(ServiceState state) {
  return state == ServiceState::kWaiting || state == ServiceState::kStarting ||
         state == ServiceState::kRunning || state == ServiceState::kBackoff;
}

}  // namespace

Result<void> Services::CheckFolder() const {
  struct stat info = {};
  if (::lstat(options_.folder.c_str(), &info) != 0) {
    return SystemError("lstat(" + options_.folder + ")", errno);
  }
  if (S_ISDIR(info.st_mode) && info.st_uid == ::geteuid() &&
      (info.st_mode & (S_IWGRP | S_IWOTH)) == 0) {
    return {};
  }
  return MakeError(error_code::kSocketPath,
                   options_.folder + " is not a folder of this user's alone",
                   "remove it, or use a socket in another folder");
}

Result<void> Services::MakeFolder() const {
  if (::mkdir(options_.folder.c_str(), 0700) == 0) return {};
  if (errno == EEXIST) return CheckFolder();
  return SystemError("mkdir(" + options_.folder + ")", errno);
}

std::string Services::SavedPath(const std::string& name) const {
  return options_.folder + "/" + name + std::string(kSuffix);
}

Result<UniqueFd> Services::HoldLaunch() const {
  const std::string path = options_.folder + "/" + kLaunches;
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return SystemError("open(" + path + ")", errno);
  if (::flock(fd.get(), LOCK_SH | LOCK_NB) != 0) {
    return SystemError("flock(" + path + ")", errno);
  }
  return fd;
}

bool Services::LaunchesAreOver() const {
  const std::string path = options_.folder + "/" + kLaunches;
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd) return errno == ENOENT;
  for (int i = 0; i < kLooksAtLaunches; ++i) {
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return true;
    ::nanosleep(&kBetweenLooks, nullptr);
  }
  return false;
}

Result<void> Services::Save(Service& service) {
  const ServiceDefinition& definition = service.definition;
  const bool ends = shutting_down_ && service.worker.empty();
  if (!definition.policy.detach || ends) {
    if (std::exchange(service.saved, false)) {
      ::unlink(SavedPath(service.name).c_str());
    }
    return {};
  }
  if (auto made = MakeFolder(); !made) return made;
  protocol::SavedService saved;
  saved.boot = ReadBootId();
  saved.name = service.name;
  saved.project = service.project;
  saved.zygote = definition.zygote;
  saved.setup.data = protocol::EncodeBody(definition.setup);
  saved.policy = definition.policy;
  saved.limits = definition.limits;
  saved.state = service.state;
  saved.runs = service.runs;
  saved.restarts = service.restarts;
  saved.short_runs = service.short_runs;
  saved.worker =
      service.first_worker.empty() ? service.worker : service.first_worker;
  saved.pid = service.pid;
  saved.start_time = service.start_time;
  saved.begun_ns = service.run_begun_ns;
  auto written =
      ReplaceFile(SavedPath(service.name), protocol::EncodeBody(saved));
  if (!written) return written;
  service.saved = true;
  return {};
}

void Services::SaveOrSay(Service& service) {
  if (auto saved = Save(service); !saved) {
    service.why = "its state cannot be saved: " + saved.error().ToString();
  }
}

std::vector<std::string> Services::Restore() {
  std::vector<std::string> said;
  const std::vector<std::string> names = ListSaved(options_.folder);
  if (names.empty()) return said;
  if (auto own = CheckFolder(); !own) {
    said.push_back("services are not known again: " + own.error().ToString());
    return said;
  }
  const std::string boot = ReadBootId();
  std::optional<bool> launches_are_over;
  std::vector<std::pair<std::uint64_t, ServiceState>> restored;
  for (const std::string& name : names) {
    const std::string path = SavedPath(name);
    Result<std::string> text = ReadTextFile(path);
    Result<protocol::SavedService> saved =
        text ? protocol::DecodeBody<protocol::SavedService>(*text)
             : Result<protocol::SavedService>(text.error());
    if (!saved || saved->name != name) {
      // What it was about may run: nobody starts it again.
      said.push_back("service '" + name + "' is not known any more: " + path +
                     " cannot be read" +
                     (saved ? "" : ": " + saved.error().ToString()));
      continue;
    }
    if (saved->boot != boot) {
      ::unlink(path.c_str());
      said.push_back("service '" + name +
                     "' ended when the system was started again");
      continue;
    }
    auto number = Restore(*saved, launches_are_over);
    if (!number) {
      said.push_back("service '" + name +
                     "' is not known any more: " + number.error().ToString());
      continue;
    }
    const Service& service = *ByNumber(*number);
    said.push_back("service '" + name + "' is known again, " +
                   (service.pid == 0
                        ? std::string("and has no process")
                        : "with pid " + std::to_string(service.pid)));
    restored.emplace_back(*number, saved->state);
  }
  for (const auto& [number, state] : restored) {
    Service* const service = ByNumber(number);
    if (service == nullptr) continue;
    if (state == ServiceState::kStopping) On(*service, ServiceEvent::kStop);
    if (state == ServiceState::kFailing) On(*service, ServiceEvent::kUnready);
    if (state == ServiceState::kRestarting) {
      On(*service, ServiceEvent::kRestart);
    }
    if (IsWanted(state) && service->run == 0 &&
        service->state == ServiceState::kStopped) {
      On(*service, ServiceEvent::kStart);
    }
  }
  CheckWaiting();
  return said;
}

Result<std::uint64_t> Services::Restore(
    const protocol::SavedService& saved,
    std::optional<bool>& launches_are_over) {
  auto setup = protocol::DecodeBody<protocol::Setup>(saved.setup.data);
  if (!setup) return setup.error();
  Service& service = services_[saved.name];
  service.number = ++last_number_;
  service.name = saved.name;
  service.project = saved.project;
  service.since_ns = MonotonicNanoseconds();
  service.runs = saved.runs;
  service.restarts = saved.restarts;
  service.short_runs = saved.short_runs;
  service.saved = true;
  numbers_[service.number] = &service;
  Define(service,
         {saved.zygote, std::move(*setup), saved.policy, saved.limits});
  if (saved.worker.empty()) {
    if (!IsWanted(saved.state)) service.state = saved.state;
    return service.number;
  }
  Supervisor::Earlier earlier;
  earlier.id = saved.worker;
  earlier.pid = static_cast<pid_t>(saved.pid);
  earlier.start_time = saved.start_time;
  earlier.launched_ns = saved.begun_ns;
  if (!saved.zygote.empty()) earlier.kind = WorkerKind::kForked;
  if (earlier.pid == 0 && !launches_are_over) {
    launches_are_over = LaunchesAreOver();
  }
  // Of a forked one only its zygote knew the pid.
  if (earlier.pid == 0 &&
      (earlier.kind == WorkerKind::kForked || !*launches_are_over)) {
    service.state = ServiceState::kFailed;
    service.why =
        "it was being launched when forkserverd ended, and may run unseen; "
        "start it again if it does not";
    SaveOrSay(service);
    return service.number;
  }
  if (earlier.pid == 0) {
    earlier.pid = FindLeader(earlier.id);
    earlier.start_time = ReadStartTime(earlier.pid);
  }
  Adopt(service, earlier);
  return service.number;
}

void Services::Adopt(Service& service, const Supervisor::Earlier& earlier) {
  const ServicePolicy& kept = service.definition.policy;
  protocol::Policy policy;
  policy.name = service.name;
  policy.timeout_ms = kept.timeout_ms;
  policy.grace_ms = kept.grace_ms;
  policy.stop_signal = kept.stop_signal;
  policy.detach = true;
  const ProcessKey run = supervisor_.Adopt(
      {kServicesOwner, service.definition.limits, earlier.launched_ns}, policy,
      earlier);
  service.state = ServiceState::kRunning;
  service.run = run;
  service.worker = supervisor_.IdOf(run);
  service.first_worker = earlier.id;
  service.run_begun_ns = earlier.launched_ns;
  service.start_time = earlier.start_time;
  if (ReadStartTime(earlier.pid) == earlier.start_time) {
    service.pid = earlier.pid;
  }
  service.launched = true;
  service.said_ready = true;
  runs_[run] = service.number;
  SaveOrSay(service);
}

}  // namespace forkserver::server
