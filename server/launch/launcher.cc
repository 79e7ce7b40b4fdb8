#include "server/launch/launcher.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

#include "sdk/base/unix_socket.h"
#include "sdk/process/platform.h"
#include "sdk/protocol/codec.h"
#include "sdk/protocol/framing.h"
#include "server/lasting_fds.h"
#include "server/launch/crash_file.h"
#include "server/launch/setup_fds.h"

namespace forkserver::server {
namespace {

// The keeper is a child like any other, under a key that no worker has.
constexpr ProcessKey kKeeperKey = (ProcessKey{1} << 60) - 1;
constexpr ProcessKey kChildSignalKey = kKeeperKey - 1;

// At most one sweep in this time: each walks over all children.
constexpr std::int64_t kSweepEveryNs = 100'000'000;
// While there are children whose end only SIGCHLD tells of: one SIGCHLD may
// stand for several.
constexpr std::int64_t kSweepUnwatchedNs = 5'000'000;

// The signals whose disposition the daemon changed: libuv's handlers, and those
// that it ignores. It started with all of them at their default.
const std::vector<int> kDaemonSignals = {SIGTERM, SIGINT, SIGHUP, SIGPIPE,
                                         SIGXFSZ};

}  // namespace

Result<std::unique_ptr<Launcher>> Launcher::Create(std::string instance) {
  Result<PollSet> poll_set = PollSet::Create();
  if (!poll_set) return poll_set.error();
  UniqueFd null_fd(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null_fd) return SystemError("open(/dev/null)", errno);
  Cgroups cgroups = Cgroups::Claim();
  Result<Keeper> keeper =
      Keeper::Start(std::move(instance), cgroups.ControlFile());
  if (!keeper) return keeper.error();
  std::unique_ptr<Launcher> launcher(
      new Launcher(std::move(*poll_set), std::move(cgroups), std::move(*keeper),
                   std::move(null_fd)));
  launcher->reaper_.Adopt(kKeeperKey, launcher->keeper_.pid(), UniqueFd(),
                          {.keep_pidfd = true});
  return launcher;
}

Launcher::Launcher(PollSet poll_set, Cgroups cgroups, Keeper keeper,
                   UniqueFd null_fd)
    : poll_set_(std::move(poll_set)),
      cgroups_(std::move(cgroups)),
      keeper_(std::move(keeper)),
      null_fd_(std::move(null_fd)),
      child_signal_(OpenChildSignal()),
      reaper_(poll_set_, EndToken),
      adopted_(poll_set_, EndToken),
      zygotes_(poll_set_, reaper_, keeper_, events_),
      examiner_(poll_set_, reaper_) {
  ListenToChildSignal();
}

void Launcher::ListenToChildSignal() {
  if (!child_signal_) return;
  const bool listens =
      poll_set_
          .Add(child_signal_.get(),
               MakeToken(kChildSignalKey, TokenKind::kChildSignal))
          .has_value();
  // There was no memory for it: by sweeps until there is.
  if (!listens) SweepBefore(kSweepEveryNs);
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

void Launcher::SweepUnwatched() {
  // Where a sweep is due, SIGCHLD is not listened to until then.
  if (reaper_.has_unwatched() && (!child_signal_ || sweep_due_ns_)) {
    SweepBefore(kSweepUnwatchedNs);
  }
}

Result<void> Launcher::LaunchExec(ProcessKey key, protocol::Setup setup,
                                  const std::vector<UniqueFd>& fds,
                                  const ResourceLimits& limits,
                                  WorkerTraits traits) {
  if (!traits.crash_report) {
    return LaunchProcess(key, std::move(setup), fds, limits, traits,
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
  auto launched = LaunchProcess(key, std::move(setup), *all, limits, traits,
                                /*zygote=*/false);
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
                                     const ResourceLimits& limits,
                                     WorkerTraits traits, bool zygote) {
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

  // Open until the child has a copy.
  UniqueFd cgroup;
  if (traits.cgroup) {
    Result<UniqueFd> made = cgroups_.Make(key, *traits.cgroup);
    if (!made) return made.error();
    cgroup = *std::move(made);
    child->cgroup_fd = cgroup.get();
  }
  const auto failed = [&](Error error) {
    if (traits.cgroup) cgroups_.Remove(key);
    return error;
  };
  Running running;
  running.zygote = zygote;
  if (!traits.detach) {
    auto slot = keeper_.TakeSlot(key);
    if (!slot) return failed(slot.error());
    running.slot = *slot;
  }
  ExecPlan plan;
  plan.child = std::move(*child);
  plan.child.extra_fd = traits.held_fd;
  plan.candidates = FindCandidates(setup.argv[0], setup.env);
  plan.argv = std::move(setup.argv);
  plan.env = std::move(setup.env);
  plan.publish_pid = running.slot;
  plan.signals_to_reset = kDaemonSignals;
  if (::fcntl(kManyLastingFds, F_GETFD) >= 0) plan.share_from = kFirstLastingFd;
  Result<ExecLaunch> launch = ExecLaunch::Start(std::move(plan));
  if (!launch) {
    if (running.slot != nullptr) keeper_.GiveSlot(running.slot);
    return failed(LaunchError(launch.error().step, launch.error()));
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
                {.kill_group = !traits.detach,
                 .keep_pidfd = zygote,
                 .report_leftovers = traits.report_leftovers});
  SweepUnwatched();
  running.launch = std::move(*launch);
  running_.emplace(key, std::move(running));
  return {};
}

bool Launcher::Signal(ProcessKey key, const std::string& id, int signal,
                      bool group) {
  if (reaper_.Knows(key)) return reaper_.Signal(key, signal, group);
  if (adopted_.Knows(key)) return adopted_.Signal(key, signal, group);
  return zygotes_.Signal(key, id, signal, group);
}

Orphans Launcher::ListOrphans(const std::set<std::string>& adopted) {
  Orphans orphans = ::forkserver::ListOrphans(::getpid(), [this](pid_t child) {
    return reaper_.KeyOf(child) != 0 || zygotes_.IsForkedWorker(child);
  });
  // As a sweep would; until then each look would find them again.
  for (const pid_t pid : orphans.ended) ::waitpid(pid, nullptr, WNOHANG);
  if (!adopted.empty()) {
    Orphans theirs = FindByWorker(
        [&](const std::string& worker) { return adopted.count(worker) != 0; });
    orphans.of_worker.merge(theirs.of_worker);
    orphans.unclear = orphans.unclear || theirs.unclear;
  }
  return orphans;
}

int Launcher::SignalTree(ProcessKey key, pid_t pid,
                         const std::vector<pid_t>& orphans, int signal) {
  return ::forkserver::SignalTree(
      {pid, orphans}, signal, signal == SIGKILL ? 0 : pid, [this, key, pid] {
        return pid == 0 || reaper_.Knows(key) || adopted_.Lives(key) ||
               zygotes_.IsForkedWorker(pid);
      });
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
  if (adopted_.Knows(key)) {
    if (auto status = adopted_.TakeEnd(key)) {
      events_.push_back(ProcessEnded{key, std::move(*status)});
    }
    if (adopted_.has_ending()) SweepBefore(kSweepUnwatchedNs);
    return;
  }
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
    OnExamined(examiner_.OnEnded(key), *status);
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
  // Somebody else may have reaped them while another program was executed: no
  // signal tells of those.
  if (!child_signal_ || std::exchange(resumed_, false)) {
    for (const ProcessKey key : reaper_.Unwatched()) OnEnd(key);
  }
  if (!child_signal_) {
    if (reaper_.has_unwatched()) SweepBefore(kSweepUnwatchedNs);
  }
  for (const ProcessKey key : adopted_.Ending()) OnEnd(key);
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
  ListenToChildSignal();
}

}  // namespace forkserver::server
