#include "sdk/cpp/zygote_children.h"

#include <cerrno>
#include <csignal>
#include <utility>
#include <vector>

#include "sdk/cpp/zygote_report.h"
#include "sdk/process/leftovers.h"
#include "sdk/process/platform.h"
#include "sdk/protocol/codec.h"
#include "sdk/protocol/messages.h"

namespace forkserver {
namespace {

std::string EncodeExited(const std::string& worker, const ChildEnd& end,
                         std::vector<std::string> leftovers) {
  protocol::Exited exited;
  exited.leftovers = std::move(leftovers);
  exited.worker = worker;
  exited.pid = end.pid;
  exited.code = end.code;
  exited.signal = end.signal;
  exited.core = end.core;
  exited.max_rss_bytes = end.max_rss_bytes;
  exited.user_us = end.user_us;
  exited.system_us = end.system_us;
  exited.ended_ns = MonotonicNanoseconds();
  return protocol::EncodeRequest(0, 0, exited);
}

void SendSignalTo(pid_t pid, int signal, bool group) {
  // A child that was forked just now may not lead its group yet.
  if (group && (::kill(-pid, signal) == 0 || errno != ESRCH)) {
    // It may have left its group; nothing survives a kill by that.
    if (signal == SIGKILL) ::kill(pid, SIGKILL);
    return;
  }
  ::kill(pid, signal);
}

}  // namespace

void ZygoteChildren::Add(pid_t pid, std::string worker, Traits traits) {
  newest_[next_newest_++ % newest_.size()] = pid;
  by_worker_[worker] = pid;
  by_pid_[pid] = Child{std::move(worker), traits};
}

void ZygoteChildren::AddSpare(pid_t pid, int crash_slot) {
  Child spare;
  spare.traits.crash_slot = crash_slot;
  by_pid_[pid] = std::move(spare);
}

void ZygoteChildren::BecomeWorker(pid_t pid, std::string worker,
                                  Traits traits) {
  const auto spare = by_pid_.find(pid);
  if (spare == by_pid_.end() || !spare->second.worker.empty()) return;
  traits.crash_slot = spare->second.traits.crash_slot;
  const bool ended = spare->second.ended;
  Add(pid, std::move(worker), traits);
  if (ended) CollectOne(pid);
}

void ZygoteChildren::Dismiss(pid_t pid) {
  const auto spare = by_pid_.find(pid);
  if (spare == by_pid_.end() || !spare->second.worker.empty()) return;
  spare->second.dismissed = true;
  if (spare->second.ended) return CollectOne(pid);
  ::kill(pid, SIGKILL);
}

void ZygoteChildren::DismissAll() {
  std::vector<pid_t> spares;
  for (const auto& [pid, child] : by_pid_) {
    if (child.worker.empty()) spares.push_back(pid);
  }
  for (const pid_t pid : spares) Dismiss(pid);
}

std::vector<pid_t> ZygoteChildren::TakeEndedSpares() {
  return std::exchange(ended_spares_, {});
}

void ZygoteChildren::SendSignal(const std::string& worker, int signal,
                                bool group) const {
  const auto found = by_worker_.find(worker);
  if (found != by_worker_.end()) SendSignalTo(found->second, signal, group);
}

bool ZygoteChildren::Finish(const ChildEnd& end) {
  const auto found = by_pid_.find(end.pid);
  if (found != by_pid_.end() && found->second.worker.empty()) {
    Child& spare = found->second;
    if (!spare.dismissed) {
      if (!spare.ended) ended_spares_.push_back(end.pid);
      spare.ended = true;
      return false;
    }
    if (slots_ != nullptr) slots_->Give(spare.traits.crash_slot);
    by_pid_.erase(found);
  } else if (found != by_pid_.end()) {
    const Traits& traits = found->second.traits;
    ReportCrash(found->second, end);
    std::vector<std::string> leftovers;
    if (traits.heir != 0) leftovers = FindLeftovers(end.pid, traits.heir);
    // If nobody reads it, the daemon is gone and so is whoever asked.
    WriteReport(report_fd_,
                EncodeExited(found->second.worker, end, std::move(leftovers)));
    // What is left of its group, while the group's number is still its own.
    if (!traits.detach) ::kill(-end.pid, SIGKILL);
    by_worker_.erase(found->second.worker);
    by_pid_.erase(found);
  }
  ReapChild(end.pid);
  return true;
}

void ZygoteChildren::ReportCrash(const Child& child, const ChildEnd& end) {
  if (slots_ == nullptr) return;
  // Only then is the slot's memory touched at all.
  if (end.signal) {
    const std::string text = slots_->TakeText(child.traits.crash_slot);
    for (const std::string& frame : EncodeCrash(child.worker, "report", text)) {
      WriteReport(report_fd_, frame);
    }
  }
  slots_->Give(child.traits.crash_slot);
}

void ZygoteChildren::CollectOne(pid_t pid) {
  if (by_pid_.find(pid) == by_pid_.end()) return;
  if (auto end = PeekEndedChild(pid, ChildWait::kPoll)) Finish(*end);
}

void ZygoteChildren::CollectNewest() {
  for (const pid_t pid : newest_) CollectOne(pid);
}

void ZygoteChildren::CollectAll() {
  while (auto end = PeekEndedChild(kAnyChild, ChildWait::kPoll)) {
    // What is not reaped is what the kernel would tell of again.
    if (!Finish(*end)) return CollectEach();
  }
}

void ZygoteChildren::CollectEach() {
  std::vector<pid_t> pids;
  pids.reserve(by_pid_.size());
  for (const auto& [pid, child] : by_pid_) pids.push_back(pid);
  for (const pid_t pid : pids) CollectOne(pid);
}

void ZygoteChildren::KillAndCollect() {
  DismissAll();
  std::vector<pid_t> killed;
  for (const auto& [pid, child] : by_pid_) {
    if (child.traits.detach) continue;
    SendSignalTo(pid, SIGKILL, true);
    // It may have moved to another group.
    ::kill(pid, SIGKILL);
    killed.push_back(pid);
  }
  for (const pid_t pid : killed) {
    if (auto end = PeekEndedChild(pid, ChildWait::kBlock)) Finish(*end);
  }
}

}  // namespace forkserver
