#include "server/launch/reaper.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

#include "sdk/process/leftovers.h"
#include "sdk/process/platform.h"

namespace forkserver::server {
namespace {

std::int64_t Microseconds(const timeval& time) {
  return std::int64_t{time.tv_sec} * 1'000'000 + time.tv_usec;
}

// ru_maxrss: kilobytes on Linux, bytes on macOS.
#ifdef __APPLE__
constexpr std::int64_t kMaxRssUnit = 1;
#else
constexpr std::int64_t kMaxRssUnit = 1024;
#endif

// As many as are launched and end in quick succession: their ends need no
// sweep even when one SIGCHLD stands for several.
constexpr std::size_t kMaxPidfds = 32;

bool HasEnded(pid_t pid) {
  siginfo_t info = {};
  return ::waitid(P_PID, static_cast<id_t>(pid), &info,
                  WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == pid;
}

EndStatus MakeEndStatus(int wait_status, const struct rusage& usage) {
  EndStatus status;
  status.observed = true;
  if (WIFEXITED(wait_status)) status.code = WEXITSTATUS(wait_status);
  if (WIFSIGNALED(wait_status)) {
    status.signal = WTERMSIG(wait_status);
    status.core = WCOREDUMP(wait_status);
  }
  status.max_rss_bytes = std::int64_t{usage.ru_maxrss} * kMaxRssUnit;
  status.user_us = Microseconds(usage.ru_utime);
  status.system_us = Microseconds(usage.ru_stime);
  status.ended_ns = MonotonicNanoseconds();
  return status;
}

}  // namespace

void Reaper::Adopt(ProcessKey key, pid_t pid, UniqueFd pidfd, Traits traits) {
  if (!pidfd) pidfd = OpenProcess(pid);
  // It fails without a pidfd (old kernel, no descriptors left) and, on macOS,
  // for a process that has ended already.
  const bool watched =
      poll_set_.AddProcess(pid, pidfd.get(), token_of_(key)).has_value();
  if (!watched) ++unwatched_;
  Child child = {pid, std::move(pidfd), traits, watched, pidfds_.end()};
  if (watched && child.pidfd && !traits.keep_pidfd) {
    child.pidfd_at = pidfds_.insert(pidfds_.end(), key);
  }
  children_[key] = std::move(child);
  keys_[pid] = key;
  if (pidfds_.size() > kMaxPidfds) StopWatchingOldest();
}

std::vector<protocol::HandedChild> Reaper::WriteDown() const {
  std::vector<protocol::HandedChild> handed;
  for (const auto& [key, child] : children_) {
    handed.push_back({static_cast<std::int64_t>(key), child.pid,
                      child.traits.kill_group, child.traits.keep_pidfd,
                      child.traits.report_leftovers});
  }
  return handed;
}

void Reaper::Resume(const std::vector<protocol::HandedChild>& handed) {
  for (const protocol::HandedChild& one : handed) {
    Adopt(static_cast<ProcessKey>(one.key), static_cast<pid_t>(one.pid),
          UniqueFd(), {one.kill_group, one.keep_pidfd, one.report_leftovers});
  }
}

void Reaper::StopWatchingOldest() {
  Child& child = children_.at(pidfds_.front());
  // Its SIGCHLD may have been taken already; the pidfd still tells of it.
  if (HasEnded(child.pid)) return;
  poll_set_.Remove(child.pidfd.get());
  child.pidfd.Reset();
  child.watched = false;
  ++unwatched_;
  pidfds_.pop_front();
  child.pidfd_at = pidfds_.end();
}

std::vector<ProcessKey> Reaper::Unwatched() const {
  std::vector<ProcessKey> keys;
  for (const auto& [key, child] : children_) {
    if (!child.watched) keys.push_back(key);
  }
  return keys;
}

pid_t Reaper::PidOf(ProcessKey key) const {
  const auto child = children_.find(key);
  return child == children_.end() ? 0 : child->second.pid;
}

bool Reaper::Signal(ProcessKey key, int signal, bool group) {
  const pid_t pid = PidOf(key);
  if (pid == 0) return false;
  if (group && ::kill(-pid, signal) == 0) {
    // It may have left its group; nothing survives a kill by that.
    if (signal == SIGKILL) ::kill(pid, SIGKILL);
    return true;
  }
  // A child that has not made its group yet.
  return ::kill(pid, signal) == 0;
}

std::optional<EndStatus> Reaper::Reap(ProcessKey key) {
  const auto found = children_.find(key);
  if (found == children_.end()) return std::nullopt;
  Child& child = found->second;
  std::vector<std::string> leftovers;
  if (child.traits.kill_group && HasEnded(child.pid)) {
    if (child.traits.report_leftovers) {
      leftovers = FindLeftovers(child.pid, ::getpid());
    }
    ::kill(-child.pid, SIGKILL);
  }
  int wait_status = 0;
  struct rusage usage = {};
  const pid_t reaped = ::wait4(child.pid, &wait_status, WNOHANG, &usage);
  if (reaped == 0) return std::nullopt;
  EndStatus status;
  if (reaped == child.pid) {
    status = MakeEndStatus(wait_status, usage);
    status.leftovers = std::move(leftovers);
  } else {
    // ECHILD: somebody else reaped it. Its status is gone.
    status.ended_ns = MonotonicNanoseconds();
  }
  if (child.pidfd && child.watched) {
    poll_set_.Remove(child.pidfd.get());
    if (child.pidfd_at != pidfds_.end()) pidfds_.erase(child.pidfd_at);
  }
  if (!child.watched) --unwatched_;
  keys_.erase(child.pid);
  children_.erase(found);
  return status;
}

ProcessKey Reaper::KeyOf(pid_t pid) const {
  const auto key = keys_.find(pid);
  return key == keys_.end() ? 0 : key->second;
}

pid_t Reaper::SweepOrphans(const std::function<bool(pid_t)>& is_worker) {
  for (;;) {
    siginfo_t info = {};
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
        info.si_pid == 0) {
      return 0;
    }
    if (keys_.count(info.si_pid) != 0 || is_worker(info.si_pid)) {
      return info.si_pid;
    }
    ::waitpid(info.si_pid, nullptr, WNOHANG);
  }
}

}  // namespace forkserver::server
