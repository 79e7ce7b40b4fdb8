#include "server/launch/forked_workers.h"

#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <string>
#include <utility>

#include "sdk/process/platform.h"

namespace forkserver::server {
namespace {

Error UnbegunError(const char* code, const std::string& why) {
  Error error = MakeError(code, why + " before the worker's entry began");
  error.step = "start";
  return error;
}

EndStatus Unobserved() {
  EndStatus status;
  status.ended_ns = MonotonicNanoseconds();
  return status;
}

}  // namespace

ForkedWorkers::ForkedWorkers(Reaper& reaper, Keeper& keeper,
                             std::vector<LaunchEvent>& events)
    : reaper_(reaper), keeper_(keeper), events_(events) {}

std::vector<protocol::HandedForked> ForkedWorkers::WriteDown() const {
  std::vector<protocol::HandedForked> handed;
  for (const auto& [key, worker] : workers_) {
    protocol::HandedForked& one = handed.emplace_back();
    one.key = static_cast<std::int64_t>(key);
    one.zygote = static_cast<std::int64_t>(worker.zygote);
    one.pid = worker.pid;
    one.detach = worker.detach;
    one.orphan = worker.orphan;
    one.taken_over = worker.taken_over;
    one.settled = worker.settled;
    one.slot = keeper_.NumberOf(worker.slot);
    for (const KeptSignal& kept : worker.kept) {
      one.kept.push_back({kept.signal, kept.group});
    }
    one.crash_report.data = worker.crash.report;
    one.traceback.data = worker.crash.traceback;
  }
  return handed;
}

void ForkedWorkers::Resume(std::vector<protocol::HandedForked> handed) {
  for (protocol::HandedForked& one : handed) {
    const auto key = static_cast<ProcessKey>(one.key);
    Worker& worker = workers_[key];
    worker.zygote = static_cast<ProcessKey>(one.zygote);
    worker.pid = static_cast<pid_t>(one.pid);
    worker.detach = one.detach;
    worker.orphan = one.orphan;
    worker.taken_over = one.taken_over;
    worker.settled = one.settled;
    worker.slot = keeper_.SlotOf(one.slot);
    for (const protocol::HandedSignal& kept : one.kept) {
      worker.kept.push_back({static_cast<int>(kept.signal), kept.group});
    }
    worker.crash.report = std::move(one.crash_report.data);
    worker.crash.traceback = std::move(one.traceback.data);
    if (worker.pid == 0) {
      ++unstarted_;
    } else {
      pids_[worker.pid] = key;
    }
  }
}

Result<void> ForkedWorkers::Add(ProcessKey key, ProcessKey zygote,
                                bool detach) {
  Worker worker;
  worker.zygote = zygote;
  worker.detach = detach;
  if (!detach) {
    // Now, not when it has started: then it could not be refused any more.
    auto slot = keeper_.TakeSlot(key);
    if (!slot) return slot.error();
    worker.slot = *slot;
  }
  workers_.emplace(key, std::move(worker));
  ++unstarted_;
  return {};
}

void ForkedWorkers::Fail(ProcessKey key, Error error) {
  Forget(key);
  events_.push_back(LaunchFailed{key, std::move(error)});
}

void ForkedWorkers::Forget(ProcessKey key) {
  const auto worker = workers_.find(key);
  if (worker == workers_.end()) return;
  if (worker->second.slot != nullptr) keeper_.GiveSlot(worker->second.slot);
  if (worker->second.pid == 0) --unstarted_;
  const auto pid = pids_.find(worker->second.pid);
  if (pid != pids_.end() && pid->second == key) pids_.erase(pid);
  workers_.erase(worker);
}

void ForkedWorkers::NotePid(ProcessKey key, Worker& worker, pid_t pid) {
  worker.pid = pid;
  --unstarted_;
  pids_[pid] = key;
  if (worker.slot != nullptr) worker.slot->store(pid);
}

void ForkedWorkers::OnStarted(ProcessKey reporter,
                              const ProcessStarted& started) {
  const auto found = workers_.find(started.key);
  if (found == workers_.end() || found->second.pid != 0 ||
      found->second.zygote != reporter || started.pid <= 1) {
    return;
  }
  Worker& worker = found->second;
  NotePid(started.key, worker, started.pid);
  if (!worker.settled) events_.push_back(started);
  if (worker.orphan) Adopt(started.key, worker);
}

void ForkedWorkers::OnFailed(ProcessKey reporter, ProcessKey key, pid_t pid,
                             Error error) {
  const auto found = workers_.find(key);
  if (found == workers_.end() || found->second.pid != 0 ||
      found->second.zygote != reporter) {
    return;
  }
  Worker& worker = found->second;
  if (!worker.settled) events_.push_back(LaunchFailed{key, std::move(error)});
  worker.settled = true;
  if (pid <= 1) {
    Forget(key);
    return;
  }
  // Its process is on its way out; its zygote reaps it, if there is one.
  NotePid(key, worker, pid);
  if (worker.orphan) Adopt(key, worker);
}

void ForkedWorkers::OnCrash(ProcessKey reporter, ProcessKey key,
                            const std::string& part, const std::string& data) {
  const auto found = workers_.find(key);
  if (found == workers_.end() || found->second.zygote != reporter) return;
  CrashText& crash = found->second.crash;
  // A part that is not known is from a newer zygote.
  std::string* const text = part == "report"      ? &crash.report
                            : part == "traceback" ? &crash.traceback
                                                  : nullptr;
  if (text == nullptr) return;
  text->append(data, 0, CrashText::kMaxBytes - text->size());
}

void ForkedWorkers::OnExited(ProcessKey reporter, ProcessKey key, pid_t pid,
                             EndStatus status) {
  const auto found = workers_.find(key);
  if (found == workers_.end() || found->second.taken_over ||
      found->second.zygote != reporter) {
    return;
  }
  Worker worker = found->second;
  Forget(key);
  if (worker.settled) return;
  status.crash = std::move(worker.crash);
  if (worker.pid != 0) {
    events_.push_back(ProcessEnded{key, std::move(status)});
    return;
  }
  const std::string how =
      status.signal ? "signal " + std::to_string(*status.signal)
                    : "exit code " + std::to_string(status.code.value_or(0));
  events_.push_back(
      ProcessNeverBegan{key, pid, status,
                        UnbegunError(error_code::kLaunchFailed,
                                     "the forked process ended with " + how)});
}

void ForkedWorkers::OnZygoteDied(ProcessKey zygote) {
  std::vector<ProcessKey> keys;
  for (const auto& [key, worker] : workers_) {
    if (worker.zygote == zygote && !worker.taken_over) keys.push_back(key);
  }
  for (const ProcessKey key : keys) {
    Worker& worker = workers_.at(key);
    if (worker.pid != 0) {
      Adopt(key, worker);
    } else if (worker.detach) {
      // It may be on its way to its entry, and survives its zygote.
      worker.orphan = true;
    } else {
      Forget(key);
      events_.push_back(ProcessNeverBegan{
          key, 0, Unobserved(),
          UnbegunError(error_code::kZygoteFailed, "the zygote died")});
    }
  }
}

bool ForkedWorkers::AwaitsReports(ProcessKey dead_zygote) const {
  return std::any_of(workers_.begin(), workers_.end(), [&](const auto& entry) {
    const Worker& worker = entry.second;
    return worker.zygote == dead_zygote && worker.orphan && worker.pid == 0;
  });
}

void ForkedWorkers::OnReportsEnded(ProcessKey dead_zygote) {
  std::vector<ProcessKey> keys;
  for (const auto& [key, worker] : workers_) {
    if (worker.zygote == dead_zygote && worker.orphan && worker.pid == 0) {
      keys.push_back(key);
    }
  }
  for (const ProcessKey key : keys) {
    const bool settled = workers_.at(key).settled;
    Forget(key);
    if (settled) continue;
    events_.push_back(ProcessNeverBegan{
        key, 0, Unobserved(),
        UnbegunError(error_code::kZygoteFailed, "the zygote died")});
  }
}

void ForkedWorkers::Adopt(ProcessKey key, Worker& worker) {
  siginfo_t info = {};
  if (::waitid(P_PID, static_cast<id_t>(worker.pid), &info,
               WEXITED | WNOHANG | WNOWAIT) != 0) {
    // Not handed to us: the system has no subreaper. Its group is killed
    // while nobody can have had the time to reuse its number.
    const bool settled = worker.settled;
    const bool detach = worker.detach;
    if (!kHasSubreaper && !detach) ::kill(-worker.pid, SIGKILL);
    Forget(key);
    if (!settled) {
      events_.push_back(
          ProcessEnded{key, Unobserved(), /*zygote_died=*/!detach});
    }
    return;
  }
  worker.taken_over = true;
  reaper_.Adopt(key, worker.pid, UniqueFd(), {.kill_group = !worker.detach});
  if (!worker.detach || worker.settled) {
    reaper_.Signal(key, SIGKILL, /*group=*/true);
  }
  for (const KeptSignal& kept : std::exchange(worker.kept, {})) {
    reaper_.Signal(key, kept.signal, kept.group);
  }
}

void ForkedWorkers::TakeOver(pid_t pid) {
  const auto key = pids_.find(pid);
  if (key == pids_.end()) return;
  const auto worker = workers_.find(key->second);
  if (worker != workers_.end() && !worker->second.taken_over) {
    Adopt(worker->first, worker->second);
  }
}

bool ForkedWorkers::OnTakenOverEnded(ProcessKey key, const EndStatus& status) {
  const auto found = workers_.find(key);
  if (found == workers_.end()) return false;
  const bool settled = found->second.settled;
  const bool detach = found->second.detach;
  Forget(key);
  if (!settled) {
    events_.push_back(ProcessEnded{key, status, /*zygote_died=*/!detach});
  }
  return true;
}

ProcessKey ForkedWorkers::ZygoteOf(ProcessKey key) const {
  const auto found = workers_.find(key);
  if (found == workers_.end() || found->second.taken_over) return 0;
  return found->second.zygote;
}

bool ForkedWorkers::KeepSignal(ProcessKey key, int signal, bool group) {
  const auto found = workers_.find(key);
  if (found == workers_.end() || !found->second.orphan ||
      found->second.taken_over) {
    return false;
  }
  // As pending signals: the same one twice is one.
  std::vector<KeptSignal>& kept = found->second.kept;
  std::erase_if(kept, [&](const KeptSignal& other) {
    return other.signal == signal && other.group == group;
  });
  kept.push_back({signal, group});
  return true;
}

bool ForkedWorkers::GiveUpOrphan(ProcessKey key) {
  const auto found = workers_.find(key);
  if (found == workers_.end() || !found->second.orphan ||
      found->second.pid != 0) {
    return false;
  }
  if (found->second.settled) return true;
  found->second.settled = true;
  events_.push_back(ProcessNeverBegan{
      key, 0, Unobserved(),
      UnbegunError(error_code::kZygoteFailed, "the zygote died")});
  return true;
}

pid_t ForkedWorkers::PidOf(ProcessKey key) const {
  const auto found = workers_.find(key);
  return found == workers_.end() ? 0 : found->second.pid;
}

}  // namespace forkserver::server
