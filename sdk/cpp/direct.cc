#include "sdk/cpp/direct.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "sdk/cpp/direct_launch.h"
#include "sdk/cpp/process_end.h"
#include "sdk/process/platform.h"

namespace forkserver {
namespace {

std::int64_t Microseconds(const timeval& time) {
  return std::int64_t{time.tv_sec} * 1'000'000 + time.tv_usec;
}

std::int64_t MaxRssBytes(const rusage& usage) {
#ifdef __APPLE__
  return usage.ru_maxrss;
#else
  return std::int64_t{usage.ru_maxrss} * 1024;
#endif
}

// Until it is reaped the pid is still this worker, dead or alive.
enum class Life { kRuns, kZombie, kTaken };
Life Look(pid_t pid) {
  siginfo_t info = {};
  int outcome;
  do {
    outcome = ::waitid(P_PID, static_cast<id_t>(pid), &info,
                       WEXITED | WNOHANG | WNOWAIT);
  } while (outcome < 0 && errno == EINTR);
  if (outcome < 0) return Life::kTaken;
  return info.si_pid == 0 ? Life::kRuns : Life::kZombie;
}

}  // namespace

DirectWorkers::DirectWorkers() : owner_pid_(::getpid()) {}

DirectWorkers::~DirectWorkers() {
  if (owner_pid_ != ::getpid()) return;
  for (auto& [id, worker] : workers_) {
    if (worker.info.detach || worker.record) continue;
    BeginStop(worker, EndReason::kClientGone, worker.grace);
  }
  for (auto& [id, worker] : workers_) {
    while (!worker.info.detach && !worker.record) {
      const Deadline due = Service();
      if (!worker.record) AwaitProcessEnd(worker.process.get(), due);
    }
  }
}

Result<Worker> DirectWorkers::Spawn(const SpawnOptions& options) {
  DirectWorker worker;
  worker.journey.received_ns = MonotonicNanoseconds();
  worker.journey.launch_begun_ns = worker.journey.received_ns;
  Result<DirectProcess> process = LaunchDirectly(options);
  if (!process) return process.error();
  worker.journey.launched_ns = process->launched_ns;
  worker.journey.started_ns = process->started_ns;
  worker.process = std::move(process->process);
  worker.info.id = "direct-" + std::to_string(owner_pid_) + "-" +
                   std::to_string(++launched_);
  worker.info.name = options.name;
  worker.info.pid = process->pid;
  worker.info.state = WorkerState::kRunning;
  worker.info.detach = options.detach;
  worker.stop_signal = options.stop_signal;
  worker.grace = options.grace;
  if (options.timeout.count() > 0) {
    worker.timeout = Deadline::After(options.timeout);
  }
  Worker info = worker.info;
  workers_.emplace(info.id, std::move(worker));
  return info;
}

Result<DirectWorkers::Workers::iterator> DirectWorkers::Find(
    const std::string& worker_id) {
  const auto found = workers_.find(worker_id);
  if (found != workers_.end()) return found;
  return MakeError(error_code::kUnknownWorker,
                   "this client has no worker " + worker_id,
                   "its record is handed out once; without a daemon "
                   "(FORKSERVER_DISABLE) there are no workers of others");
}

ExitRecord DirectWorkers::HandOut(Workers::iterator worker) {
  ExitRecord record = *std::move(worker->second.record);
  workers_.erase(worker);
  return record;
}

Result<ExitRecord> DirectWorkers::Wait(
    const std::string& worker_id,
    std::optional<std::chrono::milliseconds> timeout) {
  const Deadline deadline =
      timeout ? Deadline::After(*timeout) : Deadline::Never();
  while (true) {
    const Deadline due = Service();
    RunCallbacks();
    auto worker = Find(worker_id);
    if (!worker) return worker.error();
    if ((*worker)->second.record) return HandOut(*worker);
    if (deadline.Passed()) {
      return MakeError(error_code::kTimeout,
                       "worker " + worker_id + " has not ended within " +
                           std::to_string(timeout->count()) + " ms");
    }
    AwaitProcessEnd((*worker)->second.process.get(),
                    Deadline::Earlier(due, deadline));
  }
}

Result<void> DirectWorkers::Signal(const std::string& worker_id, int signal,
                                   bool group) {
  (void)Service();
  auto found = Find(worker_id);
  if (!found) return found.error();
  const DirectWorker& worker = (*found)->second;
  if (worker.record) {
    return MakeError(error_code::kWorkerEnded,
                     "worker " + worker_id + " has ended already");
  }
  const auto pid = static_cast<pid_t>(worker.info.pid);
  if (::kill(group ? -pid : pid, signal) == 0) return {};
  return SystemError("kill(" + std::to_string(group ? -pid : pid) + ", " +
                         std::to_string(signal) + ")",
                     errno);
}

Result<ExitRecord> DirectWorkers::Stop(
    const std::string& worker_id,
    std::optional<std::chrono::milliseconds> grace) {
  (void)Service();
  auto found = Find(worker_id);
  if (!found) return found.error();
  DirectWorker& worker = (*found)->second;
  BeginStop(worker, EndReason::kStopped, grace.value_or(worker.grace));
  return Wait(worker_id, std::nullopt);
}

void DirectWorkers::OnExit(const std::string& worker_id,
                           std::function<void(Result<ExitRecord>)> done) {
  auto found = Find(worker_id);
  if (!found) return done(found.error());
  (*found)->second.on_exit.push_back(std::move(done));
  RunCallbacks();
}

void DirectWorkers::Process() {
  (void)Service();
  RunCallbacks();
}

void DirectWorkers::BeginStop(DirectWorker& worker, EndReason reason,
                              std::chrono::milliseconds grace) {
  if (worker.record) return;
  if (!worker.stop_reason) {
    worker.stop_reason = reason;
    worker.info.state = WorkerState::kStopping;
    ::kill(-static_cast<pid_t>(worker.info.pid), worker.stop_signal);
  }
  worker.kill = Deadline::Earlier(worker.kill, Deadline::After(grace));
}

Deadline DirectWorkers::Service() {
  Deadline next;
  for (auto& [id, worker] : workers_) {
    next = Deadline::Earlier(next, ServiceOne(worker));
  }
  return next;
}

Deadline DirectWorkers::ServiceOne(DirectWorker& worker) {
  if (worker.record) return {};
  const auto pid = static_cast<pid_t>(worker.info.pid);
  const Life life = Look(pid);
  if (life != Life::kRuns) {
    // The whole tree of a stopped worker ends. While its leader is a zombie
    // the number of the group cannot belong to another one.
    if (worker.stop_reason && life == Life::kZombie) ::kill(-pid, SIGKILL);
    Reap(worker);
    return {};
  }
  if (worker.timeout.Passed()) {
    worker.timeout = {};
    BeginStop(worker, EndReason::kTimeout, worker.grace);
  }
  if (worker.kill.Passed() && !std::exchange(worker.killed, true)) {
    ::kill(-pid, SIGKILL);
  }
  return Deadline::Earlier(worker.timeout,
                           worker.killed ? Deadline() : worker.kill);
}

void DirectWorkers::Reap(DirectWorker& worker) {
  ExitRecord record;
  record.id = worker.info.id;
  record.name = worker.info.name;
  record.pid = worker.info.pid;
  record.direct = true;
  record.journey = worker.journey;
  record.journey.ended_ns = MonotonicNanoseconds();
  record.wall_us =
      (record.journey.ended_ns - record.journey.launched_ns) / 1000;
  int status = 0;
  rusage usage = {};
  const auto pid = static_cast<pid_t>(worker.info.pid);
  pid_t reaped;
  do {
    reaped = ::wait4(pid, &status, WNOHANG, &usage);
  } while (reaped < 0 && errno == EINTR);
  if (reaped == pid) {
    if (WIFEXITED(status)) {
      record.code = WEXITSTATUS(status);
      record.reason = EndReason::kExited;
    } else {
      record.signal = WTERMSIG(status);
      record.core = WCOREDUMP(status);
      record.reason = EndReason::kSignaled;
    }
    record.reason = worker.stop_reason.value_or(record.reason);
    record.max_rss_bytes = MaxRssBytes(usage);
    record.user_us = Microseconds(usage.ru_utime);
    record.system_us = Microseconds(usage.ru_stime);
  }
  worker.process.Reset();
  worker.info.state = WorkerState::kEnded;
  worker.record = std::move(record);
}

void DirectWorkers::RunCallbacks() {
  if (in_callback_) return;
  in_callback_ = true;
  // From the start after each callback: it may have added workers or others.
  for (auto each = workers_.begin(); each != workers_.end();) {
    DirectWorker& worker = each->second;
    if (!worker.record || worker.on_exit.empty()) {
      ++each;
      continue;
    }
    const auto callbacks = std::exchange(worker.on_exit, {});
    const ExitRecord record = *worker.record;
    for (const auto& callback : callbacks) callback(record);
    each = workers_.begin();
  }
  in_callback_ = false;
}

}  // namespace forkserver
