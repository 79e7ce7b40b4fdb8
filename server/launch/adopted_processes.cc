#include "server/launch/adopted_processes.h"

#include <sys/wait.h>

#include <csignal>
#include <utility>

#include "sdk/process/platform.h"

namespace forkserver::server {
namespace {

// A parent that has not reaped it by then never will.
constexpr std::int64_t kUnreapedNs = 1'000'000'000;

}  // namespace

Result<void> AdoptedProcesses::Adopt(ProcessKey key, pid_t pid,
                                     std::int64_t start_time) {
  Process process;
  process.pid = pid;
  process.start_time = start_time;
  // First held, then looked at.
  process.fd = OpenProcess(pid);
  if (pid <= 1 || start_time == 0 || ReadStartTime(pid) != start_time ||
      ProcessHasEnded(pid)) {
    return MakeError(error_code::kWorkerEnded, "it has ended");
  }
  if (auto watched =
          poll_set_.AddProcess(pid, process.fd.get(), token_of_(key));
      !watched) {
    return watched.error();
  }
  processes_[key] = std::move(process);
  return {};
}

std::vector<protocol::HandedAdopted> AdoptedProcesses::WriteDown(
    HandedFds& fds) const {
  std::vector<protocol::HandedAdopted> handed;
  for (const auto& [key, process] : processes_) {
    handed.push_back({static_cast<std::int64_t>(key), process.pid,
                      process.start_time, fds.Add(process.fd),
                      process.ended_ns});
  }
  return handed;
}

void AdoptedProcesses::Resume(
    const std::vector<protocol::HandedAdopted>& handed) {
  for (const protocol::HandedAdopted& one : handed) {
    const auto key = static_cast<ProcessKey>(one.key);
    Process& process = processes_[key];
    process.pid = static_cast<pid_t>(one.pid);
    process.start_time = one.start_time;
    process.fd = TakeHanded(one.fd);
    process.ended_ns = one.ended_ns;
    process.watched =
        process.ended_ns == 0 &&
        poll_set_.AddProcess(process.pid, process.fd.get(), token_of_(key))
            .has_value();
    if (!process.watched) ++ending_;
  }
}

std::vector<ProcessKey> AdoptedProcesses::Ending() const {
  std::vector<ProcessKey> keys;
  for (const auto& [key, process] : processes_) {
    if (!process.watched) keys.push_back(key);
  }
  return keys;
}

bool AdoptedProcesses::Lives(ProcessKey key) const {
  const auto found = processes_.find(key);
  if (found == processes_.end()) return false;
  const Process& process = found->second;
  return ReadStartTime(process.pid) == process.start_time &&
         !ProcessHasEnded(process.pid);
}

bool AdoptedProcesses::Signal(ProcessKey key, int signal, bool group) {
  const auto found = processes_.find(key);
  if (found == processes_.end() || !Lives(key)) return false;
  const Process& process = found->second;
  const bool sent_to_group = group && ::kill(-process.pid, signal) == 0;
  // It may have left its group; nothing survives a kill by that.
  if (sent_to_group && signal != SIGKILL) return true;
  return process.fd ? SignalProcess(process.fd.get(), signal)
                    : ::kill(process.pid, signal) == 0;
}

std::optional<EndStatus> AdoptedProcesses::TakeEnd(ProcessKey key) {
  const auto found = processes_.find(key);
  if (found == processes_.end()) return std::nullopt;
  Process& process = found->second;
  const std::int64_t now_ns = MonotonicNanoseconds();
  if (process.ended_ns == 0) {
    if (Lives(key)) return std::nullopt;
    process.ended_ns = now_ns;
    if (std::exchange(process.watched, false)) {
      if (process.fd) poll_set_.Remove(process.fd.get());
      ++ending_;
    }
  }
  EndStatus status;
  status.ended_ns = process.ended_ns;
  // Looked at first: how it ended can be read from then on.
  const bool reaped = ReadStartTime(process.pid) != process.start_time;
  const std::optional<int> wait_status =
      process.fd ? ReadWaitStatus(process.fd.get()) : std::nullopt;
  if (wait_status) {
    status.observed = true;
    if (WIFEXITED(*wait_status)) status.code = WEXITSTATUS(*wait_status);
    if (WIFSIGNALED(*wait_status)) {
      status.signal = WTERMSIG(*wait_status);
      status.core = WCOREDUMP(*wait_status);
    }
  } else if (!reaped && now_ns - process.ended_ns < kUnreapedNs) {
    return std::nullopt;
  }
  processes_.erase(found);
  --ending_;
  return status;
}

}  // namespace forkserver::server
