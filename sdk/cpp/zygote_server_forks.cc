// The part of ZygoteServer that forks.
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <utility>

#include "sdk/base/unix_socket.h"
#include "sdk/cpp/worker_runner.h"
#include "sdk/cpp/zygote_report.h"
#include "sdk/cpp/zygote_server.h"
#include "sdk/cpp/zygote_startup.h"
#include "sdk/process/child_setup.h"
#include "sdk/process/platform.h"
#include "sdk/protocol/codec.h"
#include "sdk/protocol/messages.h"

namespace forkserver {
namespace {

Error AtStep(Error error, std::string step, int error_number = 0) {
  error.step = std::move(step);
  error.error_number = error_number;
  return error;
}

// In the child. All descriptors are closed but those that the setup places,
// and these two, which get other numbers; whoever owns one must release it.
Result<void> ApplySetup(const protocol::Setup& setup,
                        const ForkRequest& request, int null_fd,
                        const std::vector<int>& kept_fds, int& control_fd,
                        int& report_fd) {
  auto plan = PrepareChildPlan(setup, request.fds, null_fd, request.limits);
  if (!plan) return plan.error();
  plan->kept = kept_fds;
  plan->status_fd = control_fd;
  plan->extra_fd = report_fd;
  const SetupFailure failure = ApplyChildPlan(*plan);
  control_fd = plan->status_fd;
  report_fd = plan->extra_fd;
  if (failure.step != SetupStep::kNone) return DescribeFailure(failure, setup);
  return {};
}

void ReleaseAll(std::vector<UniqueFd> fds) {
  for (UniqueFd& fd : fds) static_cast<void>(fd.Release());
}

}  // namespace

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

void ZygoteServer::ForkWorker(ForkRequest request, bool complete) {
  spares_.NoteWorkerStarted(MonotonicNanoseconds());
  if (auto allowed = CheckFork(complete); !allowed) {
    ReportFailed(request.worker, allowed.error());
    return;
  }
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
  if (!CheckFork(/*complete=*/true)) {
    // These are what it was before, and it is not to be used any more.
    for (const pid_t pid : spares_.TakeAll()) WithdrawSpare(pid);
    return spares_.Postpone(now_ns);
  }
  auto channel = MakeSocketPair();
  if (!channel) return spares_.Postpone(now_ns);
  const int slot = crash_slots_.TakeForChild();
  const pid_t pid = Fork();
  if (pid == 0) LiveAsSpare(channel->second.Release());
  crash_slots_.ForgetChild();
  if (pid < 0) {
    crash_slots_.Give(slot);
    return spares_.Postpone(now_ns);
  }
  children_.AddSpare(pid, slot);
  if (!SendControlFrame(
          channels_.control.get(),
          protocol::EncodeRequest(0, 1, protocol::SpareParked{pid}),
          channel->first.get())) {
    children_.Dismiss(pid);
    return spares_.Postpone(now_ns);
  }
  spares_.Add(pid);
}

void ZygoteServer::SettleSpare(const protocol::SpareSettled& settled) {
  const auto pid = static_cast<pid_t>(settled.pid);
  spares_.Remove(pid);
  if (settled.worker.empty()) {
    children_.Dismiss(pid);
    spares_.Postpone(MonotonicNanoseconds());
  } else {
    children_.BecomeWorker(
        pid, settled.worker,
        {/*detach=*/false, static_cast<pid_t>(settled.heir)});
    spares_.NoteWorkerStarted(MonotonicNanoseconds());
  }
}

void ZygoteServer::WithdrawSpare(pid_t pid) {
  SendControlFrame(
      channels_.control.get(),
      protocol::EncodeRequest(0, 0, protocol::SpareWithdrawn{pid}));
}

void ZygoteServer::WithdrawEndedSpares() {
  for (const pid_t pid : children_.TakeEndedSpares()) {
    spares_.Remove(pid);
    WithdrawSpare(pid);
  }
}

void ZygoteServer::LiveAsSpare(int channel) {
  const ForkParent parent = AsParent();
  if (!SetParentDeathSignal(SIGKILL, parent.pid)) ::_exit(0);
  // Not used or destroyed in this process.
  static_cast<void>(channels_.control.Release());
  std::vector<int> open = kept_fds_;
  open.insert(open.end(), {channel, parent.report_fd, parent.null_fd});
  CloseDescriptorsFrom(3, open);
  protocol::FrameReader reader(protocol::kMaxFrameBytes);
  WorkerRunner::RunDry(parent, reader);

  PreparedWorker worker;
  std::int64_t received_ns = 0;
  do {
    auto status = reader.Receive(channel);
    if (!status) ::_exit(kSetupFailedExitCode);
    if (*status == protocol::FrameReader::Status::kClosed) ::_exit(0);
    received_ns = MonotonicNanoseconds();
  } while (!WorkerRunner::Take(parent, reader, worker));
  WorkerRunner::Run(parent, worker, received_ns);
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
    done = ApplySetup(*setup, request, null_.get(), kept_fds_, control_fd,
                      report_fd);
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
  ReplaceEnvironment(setup->env);
  forked_zygote_ = ZygoteChannels{UniqueFd(control_fd), UniqueFd(report_fd),
                                  std::move(setup->env)};
}

void ZygoteServer::ReportFailed(const std::string& worker,
                                const Error& error) const {
  WriteReport(channels_.report.get(), EncodeFailed(worker, 0, error));
}

ForkParent ZygoteServer::AsParent() {
  return {pid_,        channels_.report.get(),
          null_.get(), *frozen_,
          registry_,   *signals_,
          kept_fds_};
}

}  // namespace forkserver
