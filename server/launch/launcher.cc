#include "server/launch/launcher.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

#include "sdk/base/unix_socket.h"
#include "sdk/process/audit/read_stacks.h"
#include "sdk/process/platform.h"
#include "sdk/protocol/codec.h"
#include "sdk/protocol/framing.h"
#include "server/launch/crash_file.h"

namespace forkserver::server {
namespace {

// The keeper is a child like any other, under a key that no worker has.
constexpr ProcessKey kKeeperKey = (ProcessKey{1} << 60) - 1;
constexpr ProcessKey kChildSignalKey = kKeeperKey - 1;

// As PrepareChildPlan checks.
constexpr std::int64_t kMaxChildFd = 65535;

// At most one sweep in this time: each walks over all children.
constexpr std::int64_t kSweepEveryNs = 100'000'000;
// While there are children whose end only SIGCHLD tells of: one SIGCHLD may
// stand for several.
constexpr std::int64_t kSweepUnwatchedNs = 5'000'000;

// The signals whose disposition the daemon changed: libuv's handlers, and
// SIGPIPE. It started with all of them at their default.
const std::vector<int> kDaemonSignals = {SIGTERM, SIGINT, SIGHUP, SIGPIPE};

std::uint64_t EndToken(ProcessKey key) {
  return MakeToken(key, TokenKind::kProcessEnd);
}

Error LaunchError(const char* step, const Error& cause) {
  Error error = MakeError(error_code::kLaunchFailed, cause.message, cause.hint);
  error.step = step;
  error.error_number = cause.error_number;
  return error;
}

// The daemon's ends and the zygote's ends of a conversation.
struct ZygotePipes {
  SocketPair control;
  Pipe report;
};

Result<ZygotePipes> MakeZygotePipes() {
  Result<SocketPair> control = MakeSocketPair();
  if (!control) return LaunchError("socketpair", control.error());
  Result<Pipe> report = MakePipe();
  if (!report) return LaunchError("pipe", report.error());
  return ZygotePipes{std::move(*control), std::move(*report)};
}

Result<std::vector<UniqueFd>> Duplicate(const std::vector<UniqueFd>& fds) {
  std::vector<UniqueFd> all;
  for (const UniqueFd& fd : fds) {
    all.emplace_back(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
    if (!all.back()) return LaunchError("dup", SystemError("fcntl()", errno));
  }
  return all;
}

// Above every number that the set-up places something at.
std::int64_t FirstFreeNumber(const protocol::Setup& setup) {
  std::int64_t next = 3;
  for (const protocol::FdPlacement& placement : setup.fds) {
    // Numbers out of range are refused when the set-up is checked.
    next = std::max(next, std::min(placement.child_fd, kMaxChildFd) + 1);
  }
  return next;
}

}  // namespace

Result<std::unique_ptr<Launcher>> Launcher::Create() {
  Result<PollSet> poll_set = PollSet::Create();
  if (!poll_set) return poll_set.error();
  UniqueFd null_fd(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null_fd) return SystemError("open(/dev/null)", errno);
  Result<Keeper> keeper = Keeper::Start();
  if (!keeper) return keeper.error();
  return std::unique_ptr<Launcher>(new Launcher(
      std::move(*poll_set), std::move(*keeper), std::move(null_fd)));
}

Launcher::Launcher(PollSet poll_set, Keeper keeper, UniqueFd null_fd)
    : poll_set_(std::move(poll_set)),
      keeper_(std::move(keeper)),
      null_fd_(std::move(null_fd)),
      child_signal_(OpenChildSignal()),
      reaper_(poll_set_, EndToken),
      zygotes_(poll_set_, reaper_, keeper_, events_),
      examiner_(poll_set_, reaper_) {
  reaper_.Adopt(kKeeperKey, keeper_.pid(), UniqueFd(), {.keep_pidfd = true});
  if (child_signal_) {
    static_cast<void>(
        poll_set_.Add(child_signal_.get(),
                      MakeToken(kChildSignalKey, TokenKind::kChildSignal)));
  }
}

Launcher::~Launcher() = default;

Result<void> Launcher::CheckOneThread() const {
  const int threads = CountThreads();
  if (threads == 1) return {};
  Error error = MakeError(
      error_code::kDaemonUnsafe,
      threads < 0 ? "forkserverd cannot count its own threads"
                  : "forkserverd has " + std::to_string(threads) +
                        " threads and must not fork: " + DescribeExtraThreads(),
      "something was loaded into the daemon, by LD_PRELOAD perhaps; restart "
      "it without");
  error.step = "audit";
  return error;
}

Result<void> Launcher::CheckKeeper() {
  if (!keeper_missing_) return {};
  if (auto restarted = keeper_.Restart(); !restarted) {
    return LaunchError("keeper", restarted.error());
  }
  keeper_missing_ = false;
  reaper_.Adopt(kKeeperKey, keeper_.pid(), UniqueFd(), {.keep_pidfd = true});
  return {};
}

void Launcher::SweepBefore(std::int64_t delay_ns) {
  const std::int64_t due_ns = MonotonicNanoseconds() + delay_ns;
  if (!sweep_due_ns_ || *sweep_due_ns_ > due_ns) sweep_due_ns_ = due_ns;
}

Result<void> Launcher::LaunchExec(ProcessKey key, protocol::Setup setup,
                                  const std::vector<UniqueFd>& fds,
                                  const ResourceLimits& limits,
                                  WorkerTraits traits) {
  if (!traits.crash_report) {
    return LaunchProcess(key, std::move(setup), fds, limits, traits.detach,
                         /*zygote=*/false);
  }
  Result<std::vector<UniqueFd>> all = Duplicate(fds);
  if (!all) return all.error();
  if (auto inserted = InsertRelay(key, setup, *all); !inserted) {
    return inserted;
  }
  UniqueFd crash_file;
  if (const std::int64_t number = FirstFreeNumber(setup);
      number <= kMaxChildFd) {
    crash_file = PlaceCrashFile(number, setup, *all);
  }
  auto launched = LaunchProcess(key, std::move(setup), *all, limits,
                                traits.detach, /*zygote=*/false);
  if (launched) {
    running_.at(key).crash_file = std::move(crash_file);
  } else {
    relays_.erase(key);
  }
  return launched;
}

Result<void> Launcher::InsertRelay(ProcessKey key, protocol::Setup& setup,
                                   std::vector<UniqueFd>& fds) {
  Result<std::unique_ptr<StderrRelay>> relay =
      StderrRelay::Insert(poll_set_,
                          {MakeToken(key, TokenKind::kRelaySource),
                           MakeToken(key, TokenKind::kRelayTarget)},
                          setup, fds);
  if (!relay) return LaunchError("pipe", relay.error());
  if (*relay) relays_[key] = std::move(*relay);
  return {};
}

Result<void> Launcher::LaunchProcess(ProcessKey key, protocol::Setup setup,
                                     const std::vector<UniqueFd>& fds,
                                     const ResourceLimits& limits, bool detach,
                                     bool zygote) {
  if (setup.argv.empty() || setup.argv[0].empty()) {
    return MakeError(error_code::kBadRequest,
                     "'setup.argv' must name a program");
  }
  if (!zygote && (!setup.entry.empty() || setup.result)) {
    return MakeError(error_code::kBadRequest,
                     "'setup.entry' and 'setup.result' are for forked "
                     "workers only");
  }
  Result<ChildPlan> child =
      PrepareChildPlan(setup, fds, null_fd_.get(), limits);
  if (!child) return child.error();
  if (auto checked = CheckOneThread(); !checked) return checked.error();
  if (auto checked = CheckKeeper(); !checked) return checked.error();

  Running running;
  running.zygote = zygote;
  if (!detach) {
    auto slot = keeper_.TakeSlot();
    if (!slot) return slot.error();
    running.slot = *slot;
  }
  ExecPlan plan;
  plan.child = std::move(*child);
  plan.candidates = FindCandidates(setup.argv[0], setup.env);
  plan.argv = std::move(setup.argv);
  plan.env = std::move(setup.env);
  plan.publish_pid = running.slot;
  plan.signals_to_reset = kDaemonSignals;
  Result<ExecLaunch> launch = ExecLaunch::Start(std::move(plan));
  if (!launch) {
    if (running.slot != nullptr) keeper_.GiveSlot(running.slot);
    return launch.error();
  }
  running.launched_ns = MonotonicNanoseconds();
  if (auto added = poll_set_.Add(launch->status_fd(),
                                 MakeToken(key, TokenKind::kExecStatus));
      !added) {
    // Out of memory in the kernel. The child is stopped and told of as failed.
    ::kill(launch->pid(), SIGKILL);
    // A zygote answers those who wait for it by its end.
    if (!zygote) {
      events_.push_back(
          LaunchFailed{key, LaunchError("epoll_ctl", added.error())});
      running.failed = true;
    }
  }
  reaper_.Adopt(key, launch->pid(), std::move(launch->pidfd()),
                {.kill_group = !detach, .keep_pidfd = zygote});
  // Where a sweep is due, SIGCHLD is not listened to until then.
  if (reaper_.has_unwatched() && (!child_signal_ || sweep_due_ns_)) {
    SweepBefore(kSweepUnwatchedNs);
  }
  running.launch = std::move(*launch);
  running_.emplace(key, std::move(running));
  return {};
}

Result<void> Launcher::LaunchZygote(ProcessKey key, std::string id,
                                    protocol::Setup setup,
                                    const std::vector<UniqueFd>& fds,
                                    const ResourceLimits& limits,
                                    protocol::Configure configure) {
  Result<ZygotePipes> pipes = MakeZygotePipes();
  if (!pipes) return pipes.error();
  // The zygote's ends go to the first two numbers above its other
  // descriptors; its environment names them.
  Result<std::vector<UniqueFd>> duplicates = Duplicate(fds);
  if (!duplicates) return duplicates.error();
  std::vector<UniqueFd> all = std::move(*duplicates);
  const std::int64_t next = FirstFreeNumber(setup);
  bool has_stderr = false;
  for (const protocol::FdPlacement& placement : setup.fds) {
    has_stderr = has_stderr || placement.child_fd == 2;
  }
  const auto place = [&](std::int64_t child_fd, UniqueFd fd) {
    setup.fds.push_back({child_fd, static_cast<std::int64_t>(all.size())});
    all.push_back(std::move(fd));
  };
  place(next, std::move(pipes->control.second));
  place(next + 1, std::move(pipes->report.write_end));
  setup.env.push_back("FORKSERVER_ZYGOTE_CONTROL_FD=" + std::to_string(next));
  setup.env.push_back("FORKSERVER_ZYGOTE_REPORT_FD=" +
                      std::to_string(next + 1));
  UniqueFd standard_error;
  if (!has_stderr) {
    Result<Pipe> pipe = MakePipe();
    if (!pipe) return LaunchError("pipe", pipe.error());
    standard_error = std::move(pipe->read_end);
    place(2, std::move(pipe->write_end));
  }
  if (auto launched = LaunchProcess(key, std::move(setup), all, limits,
                                    /*detach=*/false, /*zygote=*/true);
      !launched) {
    return launched.error();
  }
  zygotes_.Add(key, std::move(id), /*parent=*/0,
               std::move(pipes->control.first),
               std::move(pipes->report.read_end), std::move(standard_error),
               std::move(configure));
  return {};
}

Result<void> Launcher::CheckZygoteFrame(const std::string& frame,
                                        ProcessKey zygote) const {
  // What the daemon adds to a request may make it too large to hand on.
  if (frame.size() - protocol::kFrameHeaderBytes > protocol::kMaxFrameBytes) {
    return MakeError(error_code::kFrameTooLarge,
                     "the set-up is too large to hand on to a zygote",
                     "send large data through a descriptor");
  }
  if (!zygotes_.CanTakeMore(zygote)) {
    return MakeError(error_code::kLimitReached,
                     "too many requests wait for the zygote, which does not "
                     "take them",
                     "ask again later; if it hangs, stop it");
  }
  return {};
}

Result<void> Launcher::LaunchNestedZygote(ProcessKey key, std::string id,
                                          ProcessKey parent, std::string setup,
                                          std::vector<UniqueFd> fds,
                                          const ResourceLimits& limits,
                                          protocol::Configure configure) {
  if (auto checked = CheckOneThread(); !checked) return checked.error();
  if (fds.size() + 2 > protocol::kMaxFds) {
    return MakeError(error_code::kTooManyDescriptors,
                     "a zygote that is forked from another can be given " +
                         std::to_string(protocol::kMaxFds - 2) +
                         " descriptors, not " + std::to_string(fds.size()));
  }
  Result<ZygotePipes> pipes = MakeZygotePipes();
  if (!pipes) return pipes.error();
  fds.push_back(std::move(pipes->control.second));
  fds.push_back(std::move(pipes->report.write_end));
  protocol::ForkZygote request;
  request.worker = id;
  request.setup.data = std::move(setup);
  request.limits = limits;
  std::string frame = protocol::EncodeRequest(0, fds.size(), request);
  if (auto checked = CheckZygoteFrame(frame, parent); !checked) {
    return checked.error();
  }
  auto slot = keeper_.TakeSlot();
  if (!slot) return slot.error();
  zygotes_.Add(key, std::move(id), parent, std::move(pipes->control.first),
               std::move(pipes->report.read_end), UniqueFd(),
               std::move(configure), *slot);
  zygotes_.ForkZygote(key, parent, std::move(frame), std::move(fds));
  return {};
}

Result<void> Launcher::LaunchForked(ProcessKey key, std::string id,
                                    ProcessKey zygote, std::string setup,
                                    std::vector<UniqueFd> fds,
                                    const ResourceLimits& limits,
                                    WorkerTraits traits) {
  if (auto checked = CheckOneThread(); !checked) return checked.error();
  if (traits.crash_report && fds.size() < protocol::kMaxFds) {
    // What cannot be decoded is the zygote's to refuse.
    if (auto decoded = protocol::DecodeBody<protocol::Setup>(setup)) {
      if (auto inserted = InsertRelay(key, *decoded, fds); !inserted) {
        return inserted;
      }
      setup = protocol::EncodeBody(*decoded);
    }
  }
  protocol::ForkWorker request;
  request.worker = std::move(id);
  request.setup.data = std::move(setup);
  request.limits = limits;
  request.detach = traits.detach;
  std::string frame = protocol::EncodeRequest(0, fds.size(), request);
  auto done = CheckZygoteFrame(frame, zygote);
  if (done) {
    done = zygotes_.Fork(key, zygote, traits.detach, std::move(frame),
                         std::move(fds));
  }
  if (!done) relays_.erase(key);
  return done;
}

Result<void> Launcher::LaunchCanary(ProcessKey key, std::string id,
                                    ProcessKey zygote) {
  if (auto checked = CheckOneThread(); !checked) return checked.error();
  protocol::Setup setup;
  setup.cwd = "/";
  protocol::ForkWorker request;
  request.worker = std::move(id);
  request.setup.data = protocol::EncodeBody(setup);
  request.canary = true;
  return zygotes_.Fork(key, zygote, /*detach=*/false,
                       protocol::EncodeRequest(0, 0, request), {});
}

void Launcher::Audit(ProcessKey zygote, pid_t pid, audit::OwnWords words) {
  const auto unknown = [zygote](const std::string& why) {
    forkserver::Audit audit;
    audit.verdict = AuditVerdict::kUnknown;
    audit.unreadable.push_back("it could not be looked at: " + why);
    return ZygoteAudited{zygote, std::move(audit)};
  };
  Result<void> started = CheckOneThread();
  if (started) {
    started = examiner_.Start(
        [pid, &words] {
          auto audit = audit::AuditProcess(pid, words);
          if (audit) return protocol::EncodeBody(*audit);
          forkserver::Audit failed;
          failed.verdict = AuditVerdict::kUnknown;
          failed.unreadable.push_back(audit.error().message);
          return protocol::EncodeBody(failed);
        },
        [zygote, unknown](const std::string& bytes) -> LaunchEvent {
          auto audit = protocol::DecodeBody<forkserver::Audit>(bytes);
          if (audit) return ZygoteAudited{zygote, std::move(*audit)};
          return unknown("whoever looked did not come to an end in " +
                         std::to_string(Examiner::kPatienceSeconds) + " s");
        });
  }
  if (!started) events_.push_back(unknown(started.error().message));
}

void Launcher::TakeStacks(ProcessKey worker, pid_t zygote_pid) {
  Result<void> started = CheckOneThread();
  if (started) {
    started = examiner_.Start(
        [this, zygote_pid] {
          std::string text;
          const auto add = [&text](pid_t pid, const char* what) {
            text += std::string(what) + " (pid " + std::to_string(pid) + "):\n";
            for (const std::string& line : audit::ReadStacks(pid)) {
              text += line + "\n";
            }
          };
          // Those that have not said that they started are not known yet.
          bool any = false;
          for (const pid_t child : audit::ListChildren(zygote_pid)) {
            if (zygotes_.IsStarted(child) || ProcessHasEnded(child)) continue;
            add(child, "a worker that has not begun");
            any = true;
          }
          if (!any) add(zygote_pid, "no worker was forked; the zygote");
          return text;
        },
        [worker](const std::string& bytes) -> LaunchEvent {
          StacksTaken taken{worker, {}};
          for (std::size_t at = 0; at < bytes.size();) {
            const std::size_t end =
                std::min(bytes.find('\n', at), bytes.size());
            taken.lines.push_back(bytes.substr(at, end - at));
            at = end + 1;
          }
          return taken;
        });
  }
  if (!started) events_.push_back(StacksTaken{worker, {}});
}

bool Launcher::Signal(ProcessKey key, const std::string& id, int signal,
                      bool group) {
  if (reaper_.Knows(key)) return reaper_.Signal(key, signal, group);
  return zygotes_.Signal(key, id, signal, group);
}

void Launcher::AbandonLaunches() {
  for (auto& [key, running] : running_) {
    if (running.launch) running.launch->Abandon();
  }
}

std::vector<LaunchEvent> Launcher::Process() {
  std::vector<PollSet::Event> ready;
  static_cast<void>(poll_set_.Wait(0, ready));
  // Reports first: what a zygote said must be known before its end is.
  for (const PollSet::Event& event : ready) {
    const ProcessKey key = KeyOfToken(event.token);
    const TokenKind kind = KindOfToken(event.token);
    switch (kind) {
      case TokenKind::kExecStatus:
        OnStatus(key);
        break;
      case TokenKind::kZygoteControl:
      case TokenKind::kZygoteReport:
      case TokenKind::kZygoteStderr:
        if (event.writable) zygotes_.OnWritable(key);
        if (event.readable) zygotes_.OnReadable(key, kind);
        break;
      case TokenKind::kExamination:
        examiner_.OnReadable(key);
        break;
      case TokenKind::kRelaySource:
      case TokenKind::kRelayTarget:
        OnRelay(key, event);
        break;
      case TokenKind::kChildSignal:
      case TokenKind::kProcessEnd:
        break;
    }
  }
  for (const PollSet::Event& event : ready) {
    const TokenKind kind = KindOfToken(event.token);
    if (kind == TokenKind::kProcessEnd) OnEnd(KeyOfToken(event.token));
    if (kind == TokenKind::kChildSignal) OnChildSignal();
  }
  if (sweep_due_ns_ && MonotonicNanoseconds() >= *sweep_due_ns_) Sweep();
  if (!relays_.empty()) FinishRelays();
  return std::exchange(events_, {});
}

void Launcher::OnRelay(ProcessKey key, const PollSet::Event& event) {
  const auto relay = relays_.find(key);
  if (relay == relays_.end()) return;
  if (KindOfToken(event.token) == TokenKind::kRelaySource) {
    relay->second->OnReadable();
  } else {
    relay->second->OnWritable();
  }
}

std::string Launcher::FinishRelay(ProcessKey key) {
  const auto relay = relays_.find(key);
  return relay == relays_.end() ? std::string() : relay->second->TakeTail();
}

void Launcher::FinishRelays() {
  for (LaunchEvent& event : events_) {
    if (auto* const ended = std::get_if<ProcessEnded>(&event)) {
      ended->status.crash.stderr_tail = FinishRelay(ended->key);
    } else if (auto* const unbegun = std::get_if<ProcessNeverBegan>(&event)) {
      FinishRelay(unbegun->key);
    } else if (auto* const failed = std::get_if<LaunchFailed>(&event)) {
      FinishRelay(failed->key);
    }
  }
  std::erase_if(relays_,
                [](const auto& relay) { return relay.second->done(); });
}

void Launcher::OnStatus(ProcessKey key) {
  const auto found = running_.find(key);
  if (found == running_.end() || !found->second.launch ||
      found->second.failed) {
    return;
  }
  Running& running = found->second;
  Result<bool> runs = running.launch->ReadStatus();
  if (runs && !*runs) return;
  poll_set_.Remove(running.launch->status_fd());
  const pid_t pid = running.launch->pid();
  if (runs) {
    running.launch.reset();
    if (!running.zygote) {
      events_.push_back(ProcessStarted{key, pid, running.launched_ns,
                                       MonotonicNanoseconds()});
    }
    return;
  }
  // The child has said what failed and is about to exit; its memory is given
  // back when it has been reaped.
  running.failed = true;
  if (running.zygote) {
    zygotes_.OnEnded(key, std::nullopt, std::move(runs).error());
  } else {
    events_.push_back(LaunchFailed{key, std::move(runs).error()});
  }
}

void Launcher::OnEnd(ProcessKey key) {
  // A child that was killed before its exec: the status pipe knows first.
  OnStatus(key);
  std::optional<EndStatus> status = reaper_.Reap(key);
  if (!status) return;
  if (key == kKeeperKey) {
    // Somebody killed the keeper: nothing may live without one.
    keeper_missing_ = true;
    if (!CheckKeeper()) SweepBefore(kSweepEveryNs);
    return;
  }
  if (examiner_.Knows(key)) {
    events_.push_back(examiner_.OnEnded(key));
    return;
  }
  const auto found = running_.find(key);
  if (found != running_.end()) {
    Running running = std::move(found->second);
    running_.erase(found);
    if (running.slot != nullptr) keeper_.GiveSlot(running.slot);
    if (running.failed) return;
    if (!running.zygote) {
      status->crash.report = ReadCrashFile(running.crash_file);
      events_.push_back(ProcessEnded{key, std::move(*status)});
      return;
    }
  } else if (zygotes_.OnTakenOverEnded(key, *status)) {
    return;
  }
  zygotes_.OnEnded(key, status, std::nullopt);
}

void Launcher::OnChildSignal() {
  if (!reaper_.has_unwatched()) {
    // Known children are told of by their pidfd; look for orphans later, once
    // for many.
    poll_set_.Remove(child_signal_.get());
    SweepBefore(kSweepEveryNs);
    return;
  }
  const pid_t pid = ReadChildSignal(child_signal_.get());
  if (const ProcessKey key = reaper_.KeyOf(pid); key != 0) OnEnd(key);
  SweepBefore(kSweepUnwatchedNs);
}

void Launcher::Sweep() {
  sweep_due_ns_.reset();
  if (child_signal_) {
    poll_set_.Remove(child_signal_.get());
    ReadChildSignal(child_signal_.get());
  }
  if (keeper_missing_ && !CheckKeeper()) SweepBefore(kSweepEveryNs);
  if (!child_signal_) {
    for (const ProcessKey key : reaper_.Unwatched()) OnEnd(key);
    if (reaper_.has_unwatched()) SweepBefore(kSweepUnwatchedNs);
  }
  // A worker whose zygote died may be a zombie of ours already: its report
  // must be read before anything is reaped as an unknown orphan.
  zygotes_.DrainReports();
  const auto is_worker = [this](pid_t pid) {
    return zygotes_.IsForkedWorker(pid);
  };
  while (const pid_t pid = reaper_.SweepOrphans(is_worker)) {
    if (const ProcessKey key = reaper_.KeyOf(pid); key != 0) {
      OnEnd(key);
    } else {
      zygotes_.TakeOver(pid);
    }
  }
  if (child_signal_) {
    static_cast<void>(
        poll_set_.Add(child_signal_.get(),
                      MakeToken(kChildSignalKey, TokenKind::kChildSignal)));
  }
}

}  // namespace forkserver::server
