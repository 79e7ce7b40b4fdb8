#include "sdk/cpp/zygote_server.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <utility>

#include "sdk/base/unix_socket.h"
#include "sdk/cpp/worker_runner.h"
#include "sdk/cpp/zygote_report.h"
#include "sdk/cpp/zygote_startup.h"
#include "sdk/process/child_setup.h"
#include "sdk/process/platform.h"
#include "sdk/protocol/codec.h"
#include "sdk/protocol/messages.h"

namespace forkserver {
namespace {

// A stream of requests must not keep the ends of children waiting for ever.
constexpr int kRequestsPerCollectAll = 64;

Error AtStep(Error error, std::string step, int error_number = 0) {
  error.step = std::move(step);
  error.error_number = error_number;
  return error;
}

void Log(const Error& error) {
  std::fprintf(stderr, "forkserver: zygote: %s\n", error.ToString().c_str());
}

// What ForkWorker and ForkZygote have in common.
template <typename Body>
ForkRequest ToRequest(Body body, std::vector<UniqueFd> fds) {
  ForkRequest request;
  request.worker = std::move(body.worker);
  request.setup = std::move(body.setup);
  request.limits = std::move(body.limits);
  request.fds = std::move(fds);
  return request;
}

// In the child. All descriptors are closed but those that the setup places,
// and these two, which get other numbers; whoever owns one must release it.
Result<void> ApplySetup(const protocol::Setup& setup,
                        const ForkRequest& request, int null_fd,
                        int& control_fd, int& report_fd) {
  auto plan = PrepareChildPlan(setup, request.fds, null_fd, request.limits);
  if (!plan) return plan.error();
  plan->status_fd = control_fd;
  plan->extra_fd = report_fd;
  const SetupFailure failure = ApplyChildPlan(*plan);
  control_fd = plan->status_fd;
  report_fd = plan->extra_fd;
  if (failure.step != SetupStep::kNone) return DescribeFailure(failure, setup);
  return {};
}

ForkRequest ToForkRequest(protocol::ForkWorker body,
                          std::vector<UniqueFd> fds) {
  const bool detach = body.detach;
  const bool canary = body.canary;
  const auto heir = static_cast<pid_t>(body.heir);
  ForkRequest request = ToRequest(std::move(body), std::move(fds));
  request.detach = detach;
  request.canary = canary;
  request.heir = heir;
  return request;
}

void ReleaseAll(std::vector<UniqueFd> fds) {
  for (UniqueFd& fd : fds) static_cast<void>(fd.Release());
}

}  // namespace

ZygoteServer::ZygoteServer(const ZygoteRegistry& registry,
                           ZygoteChannels channels)
    : registry_(registry),
      channels_(std::move(channels)),
      pid_(::getpid()),
      reader_(protocol::kMaxFrameBytes),
      children_(channels_.report.get()) {}

ZygoteServer::Outcome ZygoteServer::Run() noexcept {
  null_.Reset(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null_ || !BelowSelectLimit(channels_.control)) {
    const Error error = SystemError("open(/dev/null)", errno);
    Log(error);
    if (channels_.control) SendZygoteFailed(channels_.control.get(), error);
    return {std::nullopt, kSetupFailedExitCode};
  }
  StartUp start = StartZygote(
      channels_.control.get(),
      [this](const protocol::Configure& configure) {
        spares_.Start(static_cast<std::size_t>(configure.spares_min),
                      static_cast<std::size_t>(configure.spares_max),
                      null_.get());
        std::vector<int> own = spares_.fds();
        own.insert(own.end(), {channels_.control.get(), channels_.report.get(),
                               null_.get()});
        return own;
      },
      reader_, registry_);
  if (!start.configure) return {std::nullopt, start.exit_code};
  self_ = std::move(start.self);
  audit_policy_ = start.configure->audit_policy;
  if (start.configure->crash_reports) {
    crash_slots_.Start();
    children_.ReportCrashes(crash_slots_);
  }
  // As it was before the preload steps: what they set is not the request's.
  frozen_.emplace(std::move(channels_.environment),
                  std::move(start.configure->freeze));
  signals_.emplace();
  PreferShortSlices();

  Next next = Next::kGoOn;
  while (next == Next::kGoOn) next = Turn();
  if (next == Next::kBecomeZygote) return {std::move(forked_zygote_), 0};
  if (next == Next::kRetired) return {};
  // The daemon takes the workers over, and tells that their zygote died.
  if (next == Next::kBroken) return {std::nullopt, kSetupFailedExitCode};
  children_.KillAndCollect();
  return {};
}

ZygoteServer::Next ZygoteServer::Turn() {
  CollectHinted();
  if (retired_ && children_.empty()) return Next::kRetired;
  auto frame = reader_.Next();
  if (!frame) {
    Log(frame.error());
    return Next::kBroken;
  }
  if (frame->has_value()) {
    const Next next = HandleFrame(**frame);
    if (next != Next::kGoOn) return next;
    if (++requests_since_collect_all_ >= kRequestsPerCollectAll) CollectAll();
    signals_->Poll();
    return Next::kGoOn;
  }
  if (fds_lost_) {
    fds_lost_ = false;
    next_fds_lost_ = !reader_.at_boundary();
    reader_.TakeFds(reader_.fds_available());
  }
  const std::int64_t wait_ns =
      collect_all_ ? 0 : spares_.NextInNs(MonotonicNanoseconds());
  switch (signals_->Wait(channels_.control.get(), wait_ns)) {
    case ZygoteSignals::Wake::kInterrupted:
      return Next::kGoOn;
    case ZygoteSignals::Wake::kIdle:
      if (collect_all_) {
        CollectAll();
      } else {
        ForkSpare();
      }
      return Next::kGoOn;
    case ZygoteSignals::Wake::kReadable:
      return ReadControl();
  }
  return Next::kGoOn;
}

void ZygoteServer::CollectHinted() {
  signals_->TakeHints(hinted_);
  if (hinted_.empty()) return;
  for (const pid_t pid : hinted_) children_.CollectOne(pid);
  hinted_.clear();
  collect_all_ = true;
  ForgetEndedSpares();
}

void ZygoteServer::CollectAll() {
  collect_all_ = false;
  requests_since_collect_all_ = 0;
  children_.CollectAll();
  ForgetEndedSpares();
}

void ZygoteServer::ForgetEndedSpares() {
  std::vector<pid_t> ended;
  children_.TakeEndedSpares(ended);
  for (const pid_t pid : ended) {
    if (spares_.Forget(pid)) spares_.Postpone(MonotonicNanoseconds());
  }
}

ZygoteServer::Next ZygoteServer::ReadControl() {
  auto status = reader_.Receive(channels_.control.get());
  if (!status) {
    Log(status.error());
    return Next::kBroken;
  }
  if (reader_.TakeFdsLost()) fds_lost_ = true;
  return *status == protocol::FrameReader::Status::kClosed ? Next::kDaemonGone
                                                           : Next::kGoOn;
}

std::vector<UniqueFd> ZygoteServer::TakeFds(std::uint64_t count,
                                            bool& complete) {
  // One receive ends with the first byte that carries descriptors, so of the
  // whole frames in the reader only the last can lack some, and of two
  // frames' descriptors none get mixed up.
  if (std::exchange(next_fds_lost_, false)) {
    complete = count == 0;
    return {};
  }
  complete = reader_.fds_available() >= count;
  if (!complete) fds_lost_ = false;
  return reader_.TakeFds(static_cast<std::size_t>(count));
}

ZygoteServer::Next ZygoteServer::HandleFrame(std::string_view payload) {
  auto message = protocol::Message::Parse(payload);
  if (!message) {
    Log(message.error());
    return Next::kBroken;
  }
  const protocol::Envelope& envelope = message->envelope();
  bool complete = true;
  std::vector<UniqueFd> fds = TakeFds(envelope.fds, complete);

  if (envelope.type == protocol::ForkWorker::kType) {
    auto body = message->Decode<protocol::ForkWorker>();
    if (body) {
      StartWorker(ToForkRequest(*std::move(body), std::move(fds)), payload,
                  complete);
    } else {
      Log(body.error());
    }
  } else if (envelope.type == protocol::ForkZygote::kType) {
    auto body = message->Decode<protocol::ForkZygote>();
    if (body) {
      return ForkZygote(ToRequest(std::move(*body), std::move(fds)), complete);
    }
    Log(body.error());
  } else if (envelope.type == protocol::SignalWorker::kType) {
    auto body = message->Decode<protocol::SignalWorker>();
    if (body) {
      children_.SendSignal(body->worker, static_cast<int>(body->signal),
                           body->group);
    } else {
      Log(body.error());
    }
  } else if (envelope.type == protocol::Retire::kType) {
    retired_ = true;
    spares_.Stop();
  }
  // Anything else is from a newer daemon, which can do without.
  return Next::kGoOn;
}

Result<void> ZygoteServer::CheckFork(bool complete) const {
  if (retired_) {
    return MakeError(error_code::kZygoteRetired,
                     "the zygote is retired and forks no more workers");
  }
  if (!complete) {
    return AtStep(
        MakeError(error_code::kDescriptorLimit,
                  "the zygote could not receive all descriptors of the request",
                  "raise the zygote's limit of open files"),
        "recvmsg");
  }
  if (audit_policy_ != AuditPolicy::kRefuse) return {};
  return self_->CheckFork();
}

pid_t ZygoteServer::Fork() {
  std::fflush(nullptr);
  signals_->BlockAll();
  const pid_t pid = ::fork();
  if (pid == 0) return 0;
  const int fork_errno = errno;
  signals_->UnblockAfterFork();
  errno = fork_errno;
  return pid;
}

pid_t ZygoteServer::ForkChild(const std::string& worker) {
  const pid_t pid = Fork();
  const int fork_errno = errno;
  if (pid < 0) {
    ReportFailed(worker, AtStep(MakeError(error_code::kLaunchFailed,
                                          "the zygote could not fork"),
                                "fork", fork_errno));
  }
  return pid;
}

void ZygoteServer::StartWorker(ForkRequest request, std::string_view payload,
                               bool complete) {
  if (auto allowed = CheckFork(complete); !allowed) {
    ReportFailed(request.worker, allowed.error());
    return;
  }
  // A canary shows that a fork works; a spare may die with its zygote until it
  // has read that it is detached.
  const pid_t spare = request.canary || request.detach
                          ? 0
                          : spares_.HandOver(payload, request.fds);
  if (spare != 0) {
    children_.BecomeWorker(spare, std::move(request.worker),
                           {request.detach, request.heir});
  } else {
    ForkWorker(std::move(request));
  }
  spares_.NoteWorkerStarted(MonotonicNanoseconds());
}

void ZygoteServer::ForkWorker(ForkRequest request) {
  const ForkParent parent = AsParent();
  PreparedWorker worker;
  worker.request = std::move(request);
  if (auto done = WorkerRunner::Prepare(parent, worker); !done) {
    ReportFailed(worker.request.worker, done.error());
    return;
  }
  const int slot = crash_slots_.TakeForChild();
  const pid_t pid = ForkChild(worker.request.worker);
  if (pid == 0) {
    const std::int64_t forked_ns = MonotonicNanoseconds();
    WorkerRunner::Run(parent, worker, forked_ns);
  }
  crash_slots_.ForgetChild();
  if (pid > 0) {
    children_.Add(pid, std::move(worker.request.worker),
                  {worker.request.detach, worker.request.heir, slot});
  } else {
    crash_slots_.Give(slot);
  }
}

void ZygoteServer::ForkSpare() {
  const std::int64_t now_ns = MonotonicNanoseconds();
  if (spares_.NextInNs(now_ns) != 0) return;
  auto channel = MakeSocketPair();
  if (!channel || !CheckFork(/*complete=*/true)) {
    return spares_.Postpone(now_ns);
  }
  SetNonBlocking(channel->first.get());
  const int slot = crash_slots_.TakeForChild();
  const pid_t pid = Fork();
  if (pid == 0) LiveAsSpare(channel->second.Release());
  crash_slots_.ForgetChild();
  if (pid < 0) {
    crash_slots_.Give(slot);
    return spares_.Postpone(now_ns);
  }
  children_.AddSpare(pid, slot);
  spares_.Add(pid, std::move(channel->first));
}

void ZygoteServer::LiveAsSpare(int channel) {
  const ForkParent parent = AsParent();
  if (!SetParentDeathSignal(SIGKILL, parent.pid)) ::_exit(0);
  // Nothing of these is used or destroyed in this process.
  static_cast<void>(channels_.control.Release());
  spares_.Abandon();
  CloseDescriptorsFrom(3, {channel, parent.report_fd, parent.null_fd});
  WorkerRunner::RunDry(parent);

  protocol::FrameReader reader(protocol::kMaxFrameBytes);
  for (;;) {
    auto frame = reader.Next();
    if (!frame) ::_exit(kSetupFailedExitCode);
    if (frame->has_value()) {
      const std::int64_t started_ns = MonotonicNanoseconds();
      auto message = protocol::Message::Parse(**frame);
      if (!message) ::_exit(kSetupFailedExitCode);
      auto body = message->Decode<protocol::ForkWorker>();
      if (!body) ::_exit(kSetupFailedExitCode);
      PreparedWorker worker;
      worker.request = ToForkRequest(*std::move(body),
                                     reader.TakeFds(reader.fds_available()));
      if (auto done = WorkerRunner::Prepare(parent, worker); !done) {
        WorkerRunner::LeaveFailed(parent.report_fd, worker.request.worker,
                                  done.error());
      }
      WorkerRunner::Run(parent, worker, started_ns);
    }
    auto status = reader.Receive(channel);
    if (!status || *status == protocol::FrameReader::Status::kClosed) {
      ::_exit(0);
    }
  }
}

ZygoteServer::Next ZygoteServer::ForkZygote(ForkRequest request,
                                            bool complete) {
  auto allowed = CheckFork(complete);
  if (allowed && request.fds.size() < 2) {
    allowed = MakeError(error_code::kBadDescriptor,
                        "the request for a zygote has no channels");
  }
  if (!allowed) {
    ReportFailed(request.worker, allowed.error());
    return Next::kGoOn;
  }
  const pid_t pid = ForkChild(request.worker);
  if (pid == 0) {
    BecomeZygote(std::move(request));
    return Next::kBecomeZygote;
  }
  if (pid > 0) children_.Add(pid, std::move(request.worker), {});
  return Next::kGoOn;
}

void ZygoteServer::BecomeZygote(ForkRequest request) {
  if (!SetParentDeathSignal(SIGKILL, pid_)) ::_exit(kSetupFailedExitCode);
  signals_->RestoreInChild();
  signals_->RestorePipeSignal();
  int report_fd = request.fds.back().Release();
  request.fds.pop_back();
  int control_fd = request.fds.back().Release();
  request.fds.pop_back();

  auto setup = protocol::DecodeBody<protocol::Setup>(request.setup.data);
  Result<void> done;
  if (!setup) done = setup.error();
  if (done) done = CheckFrozen(*frozen_, *setup);
  if (done) {
    done = ApplySetup(*setup, request, null_.get(), control_fd, report_fd);
  }
  if (!done) {
    SendZygoteFailed(control_fd, done.error());
    ::_exit(kSetupFailedExitCode);
  }
  // All of the parent's descriptors are closed, and their numbers may be
  // somebody else's.
  ReleaseAll(std::move(request.fds));
  ReleaseAll(reader_.TakeFds(reader_.fds_available()));
  static_cast<void>(channels_.control.Release());
  static_cast<void>(channels_.report.Release());
  static_cast<void>(null_.Release());
  spares_.Abandon();
  ReplaceEnvironment(setup->env);
  forked_zygote_ = ZygoteChannels{UniqueFd(control_fd), UniqueFd(report_fd),
                                  std::move(setup->env)};
}

void ZygoteServer::ReportFailed(const std::string& worker,
                                const Error& error) const {
  WriteReport(channels_.report.get(), EncodeFailed(worker, 0, error));
}

ForkParent ZygoteServer::AsParent() {
  return {pid_,     channels_.report.get(), null_.get(), *frozen_, registry_,
          *signals_};
}

}  // namespace forkserver
