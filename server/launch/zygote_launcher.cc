#include "server/launch/zygote_launcher.h"

#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <utility>

#include "sdk/process/platform.h"
#include "sdk/protocol/codec.h"

namespace forkserver::server {

using protocol::Message;

struct ZygoteLauncher::Zygote {
  ProcessKey key = 0;
  ProcessKey parent = 0;
  std::string id;
  pid_t pid = 0;
  std::atomic<pid_t>* slot = nullptr;  // of a nested one
  protocol::Configure configure;
  bool ended = false;
  std::optional<Error> error;
  std::unique_ptr<ZygoteChannel> channel;
};

ZygoteLauncher::ZygoteLauncher(PollSet& poll_set, Reaper& reaper,
                               Keeper& keeper, std::vector<LaunchEvent>& events)
    : poll_set_(poll_set), reaper_(reaper), keeper_(keeper), events_(events) {}

ZygoteLauncher::~ZygoteLauncher() = default;

ProcessKey KeyOfId(const std::string& id) {
  const std::size_t dash = id.rfind('-');
  if (dash == std::string::npos) return 0;
  char* end = nullptr;
  const ProcessKey key = std::strtoull(id.c_str() + dash + 1, &end, 10);
  return *end == '\0' ? key : 0;
}

void ZygoteLauncher::Add(ProcessKey key, std::string id, ProcessKey parent,
                         UniqueFd control, UniqueFd report,
                         UniqueFd standard_error,
                         protocol::Configure configure) {
  auto zygote = std::make_unique<Zygote>();
  zygote->key = key;
  zygote->id = std::move(id);
  zygote->parent = parent;
  zygote->configure = std::move(configure);
  zygote->channel = std::make_unique<ZygoteChannel>(
      poll_set_,
      ZygoteChannel::Tokens{MakeToken(key, TokenKind::kZygoteControl),
                            MakeToken(key, TokenKind::kZygoteReport),
                            MakeToken(key, TokenKind::kZygoteStderr)},
      std::move(control), std::move(report), std::move(standard_error));
  Zygote& added = *zygote;
  zygotes_[key] = std::move(zygote);
  if (const auto& cause = added.channel->unwatched()) {
    Error error = MakeError(error_code::kLaunchFailed, cause->message);
    error.step = "epoll_ctl";
    error.error_number = cause->error_number;
    Distrust(added, error);
  }
}

void ZygoteLauncher::Fork(ProcessKey key, ProcessKey zygote, bool detach,
                          std::string frame, std::vector<UniqueFd> fds) {
  ForkedWorker worker;
  worker.zygote = zygote;
  worker.detach = detach;
  workers_[key] = worker;
  Zygote& target = *zygotes_.at(zygote);
  target.channel->Send(std::move(frame), std::move(fds), key);
  CheckSent(target);
}

bool ZygoteLauncher::CanTakeMore(ProcessKey zygote) const {
  const auto found = zygotes_.find(zygote);
  return found != zygotes_.end() && !found->second->channel->congested();
}

void ZygoteLauncher::CheckSent(Zygote& zygote) {
  for (const ZygoteChannel::Dropped& dropped : zygote.channel->TakeDropped()) {
    Error error =
        MakeError(error_code::kLaunchFailed,
                  SystemError("sendmsg(zygote)", dropped.error_number).message);
    error.step = "sendmsg";
    error.error_number = dropped.error_number;
    if (zygotes_.count(dropped.key) != 0) {
      OnEnded(dropped.key, std::nullopt, std::move(error));
    } else if (workers_.count(dropped.key) != 0) {
      Forget(dropped.key);
      events_.push_back(LaunchFailed{dropped.key, std::move(error)});
    }
  }
  if (zygote.channel->broken()) KillZygote(zygote);
}

void ZygoteLauncher::ForkZygote(ProcessKey key, ProcessKey parent,
                                std::string frame, std::vector<UniqueFd> fds) {
  Zygote& target = *zygotes_.at(parent);
  target.channel->Send(std::move(frame), std::move(fds), key);
  CheckSent(target);
}

void ZygoteLauncher::Retire(ProcessKey zygote) {
  const auto found = zygotes_.find(zygote);
  if (found == zygotes_.end()) return;
  found->second->channel->Send(
      protocol::EncodeRequest(0, 0, protocol::Retire{}));
  CheckSent(*found->second);
}

bool ZygoteLauncher::Signal(ProcessKey key, const std::string& id, int signal,
                            bool group) {
  ProcessKey parent = 0;
  if (const auto worker = workers_.find(key); worker != workers_.end()) {
    if (worker->second.taken_over) return false;
    parent = worker->second.zygote;
  } else if (const auto zygote = zygotes_.find(key); zygote != zygotes_.end()) {
    parent = zygote->second->parent;
  }
  const auto found = zygotes_.find(parent);
  if (found == zygotes_.end()) return false;
  found->second->channel->Send(
      protocol::EncodeRequest(0, 0, protocol::SignalWorker{id, signal, group}));
  CheckSent(*found->second);
  return true;
}

void ZygoteLauncher::OnReadable(ProcessKey key, TokenKind kind) {
  const auto found = zygotes_.find(key);
  if (found == zygotes_.end()) return;
  Zygote& zygote = *found->second;
  Result<void> outcome;
  switch (kind) {
    case TokenKind::kZygoteControl:
      outcome = zygote.channel->ReadControl(
          [&](const Message& message) { OnControlMessage(zygote, message); });
      break;
    case TokenKind::kZygoteReport:
      outcome = zygote.channel->ReadReports(
          [&](const Message& message) { OnReport(zygote, message); });
      break;
    default:
      zygote.channel->ReadStandardError();
      break;
  }
  if (!outcome) Distrust(zygote, outcome.error());
  if (!zygote.channel->control_closed()) return;
  if (zygote.parent != 0 && zygotes_.count(zygote.parent) == 0 &&
      !reaper_.Knows(key)) {
    // A nested zygote whose parent is dead and whose pid nobody knows has no
    // other way to say that it is gone.
    OnEnded(key, std::nullopt, std::nullopt);
  } else {
    // It can do nothing for anybody any more, even if its process lives (a
    // shell around the zygote, say). Its end answers who waits.
    KillZygote(zygote);
  }
}

void ZygoteLauncher::OnWritable(ProcessKey zygote) {
  const auto found = zygotes_.find(zygote);
  if (found == zygotes_.end()) return;
  found->second->channel->Flush();
  CheckSent(*found->second);
}

// A zygote that does not keep to the protocol is stopped; its workers are
// taken over as those of any dead one.
void ZygoteLauncher::Distrust(Zygote& zygote, const Error& error) {
  if (!zygote.error) zygote.error = error;
  KillZygote(zygote);
}

void ZygoteLauncher::KillZygote(Zygote& zygote) {
  if (reaper_.Signal(zygote.key, SIGKILL, /*group=*/true)) return;
  const auto parent = zygotes_.find(zygote.parent);
  if (parent == zygotes_.end()) return;
  parent->second->channel->Send(protocol::EncodeRequest(
      0, 0, protocol::SignalWorker{zygote.id, SIGKILL, true}));
}

void ZygoteLauncher::OnControlMessage(Zygote& zygote, const Message& message) {
  const std::string& type = message.envelope().type;
  if (type == protocol::ZygoteHello::kType) {
    auto hello = message.Decode<protocol::ZygoteHello>();
    if (!hello) return Distrust(zygote, hello.error());
    const std::int64_t common =
        std::min(hello->max_protocol, protocol::kMaxProtocol);
    if (common < std::max(hello->min_protocol, protocol::kMinProtocol)) {
      return Distrust(
          zygote,
          MakeError(error_code::kVersionMismatch,
                    "the zygote speaks protocols " +
                        std::to_string(hello->min_protocol) + ".." +
                        std::to_string(hello->max_protocol) + ", the daemon " +
                        std::to_string(protocol::kMinProtocol) + ".." +
                        std::to_string(protocol::kMaxProtocol),
                    "link the program against this version of the SDK"));
    }
    zygote.pid = static_cast<pid_t>(hello->pid);
    if (zygote.parent != 0 && zygote.slot == nullptr) {
      zygote.slot = keeper_.TakeSlot();
      if (zygote.slot != nullptr) zygote.slot->store(zygote.pid);
    }
    zygote.configure.protocol = common;
    zygote.channel->Send(protocol::EncodeRequest(0, 0, zygote.configure));
    CheckSent(zygote);
  } else if (type == protocol::ZygoteReady::kType) {
    auto ready = message.Decode<protocol::ZygoteReady>();
    if (!ready) return Distrust(zygote, ready.error());
    events_.push_back(ZygoteIsReady{zygote.key, zygote.pid, std::move(*ready)});
  } else if (type == protocol::ZygoteFailed::kType) {
    auto failed = message.Decode<protocol::ZygoteFailed>();
    if (!failed) return Distrust(zygote, failed.error());
    zygote.error = FromWire(std::move(failed->error));
  } else {
    Distrust(zygote, MakeError(error_code::kUnknownRequest,
                               "the zygote sent '" + type + "'"));
  }
}

void ZygoteLauncher::OnReport(Zygote& zygote, const Message& message) {
  const std::string& type = message.envelope().type;
  if (type == protocol::Started::kType) {
    auto started = message.Decode<protocol::Started>();
    if (!started) return Distrust(zygote, started.error());
    OnStarted(zygote, *started);
  } else if (type == protocol::Exited::kType) {
    auto exited = message.Decode<protocol::Exited>();
    if (!exited) return Distrust(zygote, exited.error());
    OnExited(zygote, *exited);
  } else if (type == protocol::Failed::kType) {
    auto failed = message.Decode<protocol::Failed>();
    if (!failed) return Distrust(zygote, failed.error());
    OnWorkerFailed(zygote, std::move(*failed));
  } else {
    Distrust(zygote, MakeError(error_code::kUnknownRequest,
                               "the zygote reported '" + type + "'"));
  }
}

void ZygoteLauncher::NotePid(ProcessKey key, ForkedWorker& worker, pid_t pid) {
  worker.pid = pid;
  pids_[pid] = key;
  if (worker.detach) return;
  worker.slot = keeper_.TakeSlot();
  if (worker.slot != nullptr) worker.slot->store(pid);
}

void ZygoteLauncher::OnStarted(const Zygote& reporter,
                               const protocol::Started& started) {
  const ProcessKey key = KeyOfId(started.worker);
  const auto worker = workers_.find(key);
  if (worker == workers_.end() || worker->second.pid != 0 ||
      worker->second.zygote != reporter.key) {
    return;
  }
  NotePid(key, worker->second, static_cast<pid_t>(started.pid));
  events_.push_back(ProcessStarted{key, static_cast<pid_t>(started.pid),
                                   started.forked_ns, started.started_ns});
}

void ZygoteLauncher::OnWorkerFailed(const Zygote& reporter,
                                    protocol::Failed failed) {
  const ProcessKey key = KeyOfId(failed.worker);
  const Error error = FromWire(std::move(failed.error));
  if (const auto nested = zygotes_.find(key); nested != zygotes_.end()) {
    // A nested zygote that could not be forked, or not be set up.
    if (nested->second->parent != reporter.key) return;
    nested->second->error = error;
    if (failed.pid == 0) OnEnded(key, std::nullopt, std::nullopt);
    return;
  }
  const auto worker = workers_.find(key);
  if (worker == workers_.end() || worker->second.pid != 0 ||
      worker->second.zygote != reporter.key) {
    return;
  }
  events_.push_back(LaunchFailed{key, error});
  if (failed.pid == 0) {
    Forget(key);
  } else {
    // Its process is on its way out; its zygote reaps it.
    worker->second.failed = true;
    NotePid(key, worker->second, static_cast<pid_t>(failed.pid));
  }
}

void ZygoteLauncher::OnExited(const Zygote& reporter,
                              const protocol::Exited& exited) {
  const ProcessKey key = KeyOfId(exited.worker);
  EndStatus status;
  status.observed = true;
  status.code = exited.code;
  status.signal = exited.signal;
  status.core = exited.core;
  status.max_rss_bytes = exited.max_rss_bytes;
  status.user_us = exited.user_us;
  status.system_us = exited.system_us;
  status.ended_ns = exited.ended_ns;
  if (const auto nested = zygotes_.find(key); nested != zygotes_.end()) {
    if (nested->second->parent == reporter.key) {
      OnEnded(key, status, std::nullopt);
    }
    return;
  }
  const auto found = workers_.find(key);
  if (found == workers_.end() || found->second.taken_over ||
      found->second.zygote != reporter.key) {
    return;
  }
  const bool failed = found->second.failed;
  const bool started = found->second.pid != 0;
  Forget(key);
  if (failed) return;
  if (started) {
    events_.push_back(ProcessEnded{key, status});
    return;
  }
  std::string how = status.signal ? "signal " + std::to_string(*status.signal)
                                  : "exit code " + std::to_string(*status.code);
  events_.push_back(LaunchFailed{
      key, MakeError(error_code::kLaunchFailed,
                     "the forked worker ended before its entry, with " + how)});
}

void ZygoteLauncher::Forget(ProcessKey key) {
  const auto worker = workers_.find(key);
  if (worker == workers_.end()) return;
  if (worker->second.slot != nullptr) keeper_.GiveSlot(worker->second.slot);
  const auto pid = pids_.find(worker->second.pid);
  if (pid != pids_.end() && pid->second == key) pids_.erase(pid);
  workers_.erase(worker);
}

void ZygoteLauncher::OnEnded(ProcessKey key, std::optional<EndStatus> status,
                             std::optional<Error> error) {
  const auto found = zygotes_.find(key);
  if (found == zygotes_.end() || found->second->ended) return;
  Zygote& zygote = *found->second;
  zygote.ended = true;
  // What it still had to say comes first: above all the ends of workers that
  // it had reaped.
  static_cast<void>(zygote.channel->ReadControl(
      [&](const Message& message) { OnControlMessage(zygote, message); },
      /*drain=*/true));
  static_cast<void>(zygote.channel->ReadReports(
      [&](const Message& message) { OnReport(zygote, message); },
      /*drain=*/true));
  zygote.channel->ReadStandardError();
  if (error) zygote.error = std::move(error);

  std::vector<ProcessKey> orphans;
  for (const auto& [worker_key, worker] : workers_) {
    if (worker.zygote == key && !worker.taken_over) {
      orphans.push_back(worker_key);
    }
  }
  for (const ProcessKey orphan : orphans) {
    TakeOverWorker(orphan, workers_.at(orphan));
  }
  // Nested zygotes end with it. Their parent-death signal has fired; the
  // reaper takes them over where the system hands them to us.
  std::vector<ProcessKey> nested;
  for (const auto& [nested_key, other] : zygotes_) {
    if (other->parent == key) nested.push_back(nested_key);
  }

  ZygoteEnded ended;
  ended.key = key;
  ended.error = zygote.error;
  ended.status = status;
  ended.stderr_tail = zygote.channel->stderr_tail();
  if (zygote.slot != nullptr) keeper_.GiveSlot(zygote.slot);
  zygotes_.erase(found);
  events_.push_back(std::move(ended));

  for (const ProcessKey nested_key : nested) {
    const auto other = zygotes_.find(nested_key);
    if (other == zygotes_.end()) continue;
    const pid_t pid = other->second->pid;
    siginfo_t info = {};
    if (pid != 0 && ::waitid(P_PID, static_cast<id_t>(pid), &info,
                             WEXITED | WNOHANG | WNOWAIT) == 0) {
      reaper_.Adopt(nested_key, pid, UniqueFd(), /*kill_group=*/true);
      reaper_.Signal(nested_key, SIGKILL, false);
    } else if (other->second->channel->control_closed() || pid != 0) {
      OnEnded(nested_key, std::nullopt, std::nullopt);
    }
  }
}

void ZygoteLauncher::TakeOverWorker(ProcessKey key, ForkedWorker& worker) {
  if (worker.pid == 0) {
    events_.push_back(LaunchFailed{
        key, MakeError(error_code::kZygoteFailed,
                       "the zygote died before the worker's entry began")});
    Forget(key);
    return;
  }
  siginfo_t info = {};
  if (::waitid(P_PID, static_cast<id_t>(worker.pid), &info,
               WEXITED | WNOHANG | WNOWAIT) != 0) {
    // Not handed to us: the system has no subreaper. Its group is killed
    // while nobody can have had the time to reuse its number.
    const bool failed = worker.failed;
    const bool detach = worker.detach;
    if (!kHasSubreaper && !detach) ::kill(-worker.pid, SIGKILL);
    Forget(key);
    if (failed) return;
    EndStatus status;
    status.ended_ns = MonotonicNanoseconds();
    events_.push_back(ProcessEnded{key, status, /*zygote_died=*/!detach});
    return;
  }
  worker.taken_over = true;
  reaper_.Adopt(key, worker.pid, UniqueFd(), !worker.detach);
  if (!worker.detach) reaper_.Signal(key, SIGKILL, true);
}

void ZygoteLauncher::TakeOver(pid_t pid) {
  const auto key = pids_.find(pid);
  if (key == pids_.end()) return;
  const auto worker = workers_.find(key->second);
  if (worker != workers_.end() && !worker->second.taken_over) {
    TakeOverWorker(worker->first, worker->second);
  }
}

bool ZygoteLauncher::OnTakenOverEnded(ProcessKey key, const EndStatus& status) {
  const auto found = workers_.find(key);
  if (found == workers_.end()) return false;
  const bool failed = found->second.failed;
  const bool detach = found->second.detach;
  Forget(key);
  if (!failed) {
    events_.push_back(ProcessEnded{key, status, /*zygote_died=*/!detach});
  }
  return true;
}

bool ZygoteLauncher::KillDirectly(ProcessKey key) {
  const auto found = workers_.find(key);
  if (found == workers_.end() || found->second.pid == 0) return true;
  const pid_t pid = found->second.pid;
  // An end is reported before it is reaped: what was not reported when the
  // process was opened is that worker.
  const UniqueFd process = OpenProcess(pid);
  DrainReports();
  if (workers_.count(key) == 0) return false;
  if (ProcessHasEnded(pid)) return true;
  if (process) SignalProcess(process.get(), SIGKILL);
  return false;
}

void ZygoteLauncher::DrainReports() {
  // Reports may end nested zygotes while we walk.
  std::vector<ProcessKey> keys;
  for (const auto& [key, zygote] : zygotes_) keys.push_back(key);
  for (const ProcessKey key : keys) {
    const auto found = zygotes_.find(key);
    if (found == zygotes_.end()) continue;
    Zygote& one = *found->second;
    static_cast<void>(one.channel->ReadReports(
        [&](const Message& message) { OnReport(one, message); },
        /*drain=*/true));
  }
}

}  // namespace forkserver::server
