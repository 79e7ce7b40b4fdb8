#include "server/launch/zygote_launcher.h"

#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <utility>

#include "sdk/process/platform.h"
#include "sdk/protocol/codec.h"
#include "server/launch/parked_spares.h"

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
  bool retired = false;
  std::optional<Error> error;
  std::unique_ptr<ZygoteChannel> channel;
  ParkedSpares spares;
  std::vector<protocol::SpareSettled> unsettled;
};

ZygoteLauncher::ZygoteLauncher(PollSet& poll_set, Reaper& reaper,
                               Keeper& keeper, std::vector<LaunchEvent>& events)
    : poll_set_(poll_set),
      reaper_(reaper),
      keeper_(keeper),
      events_(events),
      forked_(reaper, keeper, events) {}

ZygoteLauncher::~ZygoteLauncher() = default;

ProcessKey KeyOfId(const std::string& id) {
  const std::size_t dash = id.rfind('-');
  if (dash == std::string::npos) return 0;
  char* end = nullptr;
  const ProcessKey key = std::strtoull(id.c_str() + dash + 1, &end, 10);
  return *end == '\0' ? key : 0;
}

ZygoteChannel::Tokens ZygoteLauncher::TokensOf(ProcessKey key) {
  return {MakeToken(key, TokenKind::kZygoteControl),
          MakeToken(key, TokenKind::kZygoteReport),
          MakeToken(key, TokenKind::kZygoteStderr)};
}

void ZygoteLauncher::Add(ProcessKey key, std::string id, ProcessKey parent,
                         UniqueFd control, UniqueFd report,
                         UniqueFd standard_error, protocol::Configure configure,
                         std::atomic<pid_t>* slot) {
  auto zygote = std::make_unique<Zygote>();
  zygote->key = key;
  zygote->id = std::move(id);
  zygote->parent = parent;
  zygote->slot = slot;
  zygote->configure = std::move(configure);
  zygote->channel = std::make_unique<ZygoteChannel>(
      poll_set_, TokensOf(key), std::move(control), std::move(report),
      std::move(standard_error));
  Zygote& added = *zygote;
  zygotes_[key] = std::move(zygote);
  if (const auto& cause = added.channel->unwatched()) {
    Error error = MakeError(error_code::kLaunchFailed, cause->message);
    error.step = "epoll_ctl";
    error.error_number = cause->error_number;
    Distrust(added, error);
  }
}

Result<void> ZygoteLauncher::Fork(ProcessKey key, ProcessKey zygote,
                                  const protocol::ForkWorker& request,
                                  std::string frame,
                                  std::vector<UniqueFd> fds) {
  if (auto added = forked_.Add(key, zygote, request.detach); !added) {
    return added;
  }
  Zygote& target = *zygotes_.at(zygote);
  if (HandOver(target, request, frame, fds)) return {};
  Send(target, std::move(frame), std::move(fds), key);
  return {};
}

bool ZygoteLauncher::HandOver(Zygote& zygote,
                              const protocol::ForkWorker& request,
                              const std::string& frame,
                              const std::vector<UniqueFd>& fds) {
  // A canary shows that a fork works; a spare may die with its zygote until it
  // has read that it is detached. A zygote that hears nothing could not be
  // told.
  if (request.canary || request.detach || zygote.channel->control_closed()) {
    return false;
  }
  const pid_t pid = zygote.spares.HandOver(frame, fds);
  if (pid == 0) return false;
  // It is told when the worker has said that it runs, so as not to compete
  // with it.
  zygote.unsettled.push_back({pid, request.worker, request.heir});
  return true;
}

void ZygoteLauncher::Settle(Zygote& zygote) {
  if (zygote.unsettled.empty() || zygote.ended) return;
  for (const auto& settled : std::exchange(zygote.unsettled, {})) {
    zygote.channel->Send(protocol::EncodeRequest(0, 0, settled));
  }
  CheckSent(zygote);
}

void ZygoteLauncher::Send(Zygote& zygote, std::string frame,
                          std::vector<UniqueFd> fds, ProcessKey key) {
  Settle(zygote);
  zygote.channel->Send(std::move(frame), std::move(fds), key);
  CheckSent(zygote);
}

void ZygoteLauncher::WriteDown(HandedFds& fds,
                               protocol::HandedLauncher& handed) const {
  for (const auto& [key, zygote] : zygotes_) {
    protocol::HandedConversation& one = handed.zygotes.emplace_back();
    one.key = static_cast<std::int64_t>(key);
    one.parent = static_cast<std::int64_t>(zygote->parent);
    one.id = zygote->id;
    one.pid = zygote->pid;
    one.slot = keeper_.NumberOf(zygote->slot);
    one.configure = zygote->configure;
    one.retired = zygote->retired;
    if (zygote->error) one.error = protocol::ToWire(*zygote->error);
    one.channel = zygote->channel->WriteDown(fds);
    one.spares = zygote->spares.WriteDown(fds);
    one.unsettled = zygote->unsettled;
  }
  for (const auto& [key, channel] : remains_) {
    protocol::HandedConversation& one = handed.remains.emplace_back();
    one.key = static_cast<std::int64_t>(key);
    one.channel = channel->WriteDown(fds);
  }
  handed.forked = forked_.WriteDown();
}

Result<void> ZygoteLauncher::Resume(protocol::HandedLauncher& handed) {
  for (protocol::HandedConversation& one : handed.zygotes) {
    const auto key = static_cast<ProcessKey>(one.key);
    auto zygote = std::make_unique<Zygote>();
    zygote->key = key;
    zygote->parent = static_cast<ProcessKey>(one.parent);
    zygote->id = std::move(one.id);
    zygote->pid = static_cast<pid_t>(one.pid);
    zygote->slot = keeper_.SlotOf(one.slot);
    zygote->configure = std::move(one.configure);
    zygote->retired = one.retired;
    if (one.error) zygote->error = protocol::FromWire(std::move(*one.error));
    zygote->spares.Resume(one.spares);
    zygote->unsettled = std::move(one.unsettled);
    zygote->channel = std::make_unique<ZygoteChannel>(poll_set_, TokensOf(key),
                                                      std::move(one.channel));
    Zygote& added = *zygote;
    zygotes_[key] = std::move(zygote);
    if (const auto& why = added.channel->unwatched()) return *why;
  }
  for (protocol::HandedConversation& one : handed.remains) {
    const auto key = static_cast<ProcessKey>(one.key);
    remains_[key] = std::make_unique<ZygoteChannel>(poll_set_, TokensOf(key),
                                                    std::move(one.channel));
    if (const auto& why = remains_[key]->unwatched()) return *why;
  }
  forked_.Resume(std::move(handed.forked));
  return {};
}

std::set<std::int64_t> ZygoteLauncher::Protocols() const {
  std::set<std::int64_t> protocols;
  for (const auto& [key, zygote] : zygotes_) {
    // 0: it has not said hello.
    if (const auto one = zygote->configure.protocol; one != 0) {
      protocols.insert(one);
    }
  }
  return protocols;
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
    } else if (forked_.Knows(dropped.key)) {
      forked_.Fail(dropped.key, std::move(error));
    }
  }
  if (zygote.channel->broken()) KillZygote(zygote);
}

void ZygoteLauncher::ForkZygote(ProcessKey key, ProcessKey parent,
                                std::string frame, std::vector<UniqueFd> fds) {
  Send(*zygotes_.at(parent), std::move(frame), std::move(fds), key);
}

void ZygoteLauncher::Retire(ProcessKey zygote) {
  const auto found = zygotes_.find(zygote);
  if (found == zygotes_.end()) return;
  found->second->retired = true;
  found->second->spares.Clear();
  Send(*found->second, protocol::EncodeRequest(0, 0, protocol::Retire{}));
}

bool ZygoteLauncher::Signal(ProcessKey key, const std::string& id, int signal,
                            bool group) {
  ProcessKey parent = 0;
  if (forked_.Knows(key)) {
    if (forked_.KeepSignal(key, signal, group)) return true;
    parent = forked_.ZygoteOf(key);
  } else if (const auto zygote = zygotes_.find(key); zygote != zygotes_.end()) {
    parent = zygote->second->parent;
  }
  const auto found = zygotes_.find(parent);
  if (found == zygotes_.end()) return false;
  Send(*found->second, protocol::EncodeRequest(
                           0, 0, protocol::SignalWorker{id, signal, group}));
  return true;
}

void ZygoteLauncher::OnReadable(ProcessKey key, TokenKind kind) {
  const auto found = zygotes_.find(key);
  if (found == zygotes_.end()) {
    if (kind == TokenKind::kZygoteReport) ReadRemains(key);
    return;
  }
  Zygote& zygote = *found->second;
  Result<void> outcome;
  switch (kind) {
    case TokenKind::kZygoteControl:
      outcome = zygote.channel->ReadControl(
          [&](const Message& message, std::vector<UniqueFd> fds) {
            OnControlMessage(zygote, message, std::move(fds));
          });
      break;
    case TokenKind::kZygoteReport:
      outcome = ReadReports(key, *zygote.channel);
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

void ZygoteLauncher::OnControlMessage(Zygote& zygote, const Message& message,
                                      std::vector<UniqueFd> fds) {
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
    if (zygote.slot != nullptr) zygote.slot->store(zygote.pid);
    zygote.configure.protocol = common;
    Send(zygote, protocol::EncodeRequest(0, 0, zygote.configure));
  } else if (type == protocol::ZygoteReady::kType) {
    auto ready = message.Decode<protocol::ZygoteReady>();
    if (!ready) return Distrust(zygote, ready.error());
    events_.push_back(ZygoteIsReady{zygote.key, zygote.pid, std::move(*ready)});
  } else if (type == protocol::ZygoteFailed::kType) {
    auto failed = message.Decode<protocol::ZygoteFailed>();
    if (!failed) return Distrust(zygote, failed.error());
    zygote.error = FromWire(std::move(failed->error));
  } else if (type == protocol::SpareParked::kType) {
    auto parked = message.Decode<protocol::SpareParked>();
    if (!parked) return Distrust(zygote, parked.error());
    OnSpareParked(zygote, static_cast<pid_t>(parked->pid), std::move(fds));
  } else if (type == protocol::SpareWithdrawn::kType) {
    auto withdrawn = message.Decode<protocol::SpareWithdrawn>();
    if (!withdrawn) return Distrust(zygote, withdrawn.error());
    // One that is not parked here has been told of, or is about to be.
    if (zygote.spares.Remove(static_cast<pid_t>(withdrawn->pid))) {
      zygote.unsettled.push_back({withdrawn->pid, {}, 0});
    }
    Settle(zygote);
  } else {
    Distrust(zygote, MakeError(error_code::kUnknownRequest,
                               "the zygote sent '" + type + "'"));
  }
}

void ZygoteLauncher::OnSpareParked(Zygote& zygote, pid_t pid,
                                   std::vector<UniqueFd> fds) {
  // When it reads that it is to retire it dismisses them by itself.
  if (zygote.retired) return;
  if (fds.size() == 1 && zygote.spares.Add(pid, std::move(fds.front()))) return;
  zygote.unsettled.push_back({pid, {}, 0});
  Settle(zygote);
}

Result<void> ZygoteLauncher::ReadReports(ProcessKey reporter,
                                         ZygoteChannel& channel, bool drain) {
  Result<void> handled;
  bool heard = false;
  auto read = channel.ReadReports(
      [&](const Message& message, const std::vector<UniqueFd>&) {
        heard = true;
        auto one = OnReport(reporter, message);
        if (!one && handled) handled = std::move(one);
      },
      drain);
  const auto zygote = zygotes_.find(reporter);
  if (heard && zygote != zygotes_.end()) Settle(*zygote->second);
  return handled ? read : handled;
}

Result<void> ZygoteLauncher::OnReport(ProcessKey reporter,
                                      const Message& message) {
  const std::string& type = message.envelope().type;
  if (type == protocol::Started::kType) {
    auto started = message.Decode<protocol::Started>();
    if (!started) return started.error();
    forked_.OnStarted(
        reporter, {KeyOfId(started->worker), static_cast<pid_t>(started->pid),
                   started->forked_ns, started->started_ns});
  } else if (type == protocol::Exited::kType) {
    auto exited = message.Decode<protocol::Exited>();
    if (!exited) return exited.error();
    OnExited(reporter, *exited);
  } else if (type == protocol::Crash::kType) {
    auto crash = message.Decode<protocol::Crash>();
    if (!crash) return crash.error();
    forked_.OnCrash(reporter, KeyOfId(crash->worker), crash->part,
                    crash->data.data);
  } else if (type == protocol::Failed::kType) {
    auto failed = message.Decode<protocol::Failed>();
    if (!failed) return failed.error();
    OnFailed(reporter, std::move(*failed));
  } else {
    return MakeError(error_code::kUnknownRequest,
                     "the zygote reported '" + type + "'");
  }
  return {};
}

void ZygoteLauncher::OnFailed(ProcessKey reporter, protocol::Failed failed) {
  const ProcessKey key = KeyOfId(failed.worker);
  Error error = FromWire(std::move(failed.error));
  const auto nested = zygotes_.find(key);
  if (nested == zygotes_.end()) {
    forked_.OnFailed(reporter, key, static_cast<pid_t>(failed.pid),
                     std::move(error));
  } else if (nested->second->parent == reporter) {
    // It could not be forked, or not be set up.
    nested->second->error = std::move(error);
    if (failed.pid == 0) OnEnded(key, std::nullopt, std::nullopt);
  }
}

void ZygoteLauncher::OnExited(ProcessKey reporter,
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
  status.leftovers = exited.leftovers;
  const auto nested = zygotes_.find(key);
  if (nested == zygotes_.end()) {
    forked_.OnExited(reporter, key, static_cast<pid_t>(exited.pid), status);
  } else if (nested->second->parent == reporter) {
    OnEnded(key, status, std::nullopt);
  }
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
      [&](const Message& message, std::vector<UniqueFd> fds) {
        OnControlMessage(zygote, message, std::move(fds));
      },
      /*drain=*/true));
  static_cast<void>(ReadReports(key, *zygote.channel, /*drain=*/true));
  zygote.channel->ReadStandardError();
  if (error) zygote.error = std::move(error);
  forked_.OnZygoteDied(key);

  ZygoteEnded ended;
  ended.key = key;
  ended.error = zygote.error;
  ended.status = std::move(status);
  ended.stderr_tail = zygote.channel->stderr_tail();
  if (zygote.slot != nullptr) keeper_.GiveSlot(zygote.slot);
  std::unique_ptr<ZygoteChannel> channel = std::move(zygote.channel);
  zygotes_.erase(found);
  events_.push_back(std::move(ended));
  if (forked_.AwaitsReports(key)) {
    channel->KeepReportsOnly();
    remains_[key] = std::move(channel);
    ReadRemains(key);
  }
  EndNested(key);
}

void ZygoteLauncher::ReadRemains(ProcessKey dead, bool drain) {
  const auto found = remains_.find(dead);
  if (found == remains_.end()) return;
  ZygoteChannel& channel = *found->second;
  const Result<void> outcome = ReadReports(dead, channel, drain);
  if (!outcome || channel.reports_closed()) forked_.OnReportsEnded(dead);
  if (!forked_.AwaitsReports(dead)) remains_.erase(dead);
}

void ZygoteLauncher::EndNested(ProcessKey parent) {
  // Nested zygotes end with it. Their parent-death signal has fired; the
  // reaper takes them over where the system hands them to us.
  std::vector<ProcessKey> nested;
  for (const auto& [key, zygote] : zygotes_) {
    if (zygote->parent == parent) nested.push_back(key);
  }
  for (const ProcessKey key : nested) {
    const auto found = zygotes_.find(key);
    if (found == zygotes_.end()) continue;
    const pid_t pid = found->second->pid;
    siginfo_t info = {};
    if (pid != 0 && ::waitid(P_PID, static_cast<id_t>(pid), &info,
                             WEXITED | WNOHANG | WNOWAIT) == 0) {
      reaper_.Adopt(key, pid, UniqueFd(),
                    {.kill_group = true, .keep_pidfd = true});
      reaper_.Signal(key, SIGKILL, false);
    } else if (found->second->channel->control_closed() || pid != 0) {
      OnEnded(key, std::nullopt, std::nullopt);
    }
  }
}

bool ZygoteLauncher::IsForkedWorker(pid_t pid) {
  if (forked_.KnowsPid(pid)) return true;
  if (!forked_.has_unstarted()) return false;
  // It may have started and ended since the reports were read.
  DrainReports();
  return forked_.KnowsPid(pid);
}

bool ZygoteLauncher::KillDirectly(ProcessKey key) {
  if (forked_.GiveUpOrphan(key)) return false;
  const pid_t pid = forked_.PidOf(key);
  if (pid == 0) return true;
  // An end is reported before it is reaped: what was not reported when the
  // process was opened is that worker.
  const UniqueFd process = OpenProcess(pid);
  DrainReports();
  if (!forked_.Knows(key)) return false;
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
    static_cast<void>(
        ReadReports(key, *found->second->channel, /*drain=*/true));
  }
  keys.clear();
  for (const auto& [key, channel] : remains_) keys.push_back(key);
  for (const ProcessKey key : keys) ReadRemains(key, /*drain=*/true);
}

}  // namespace forkserver::server
