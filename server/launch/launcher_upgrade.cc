// The part of Launcher that crosses an upgrade: what is written down of it, and
// made of that again.
#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "sdk/protocol/codec.h"
#include "server/launch/launcher.h"

namespace forkserver::server {

protocol::HandedLauncher Launcher::WriteDown(HandedFds& fds) const {
  protocol::HandedLauncher handed;
  handed.cgroups = cgroups_.WriteDown();
  handed.keeper = keeper_.WriteDown(fds);
  handed.keeper.missing = keeper_missing_;
  handed.children = reaper_.WriteDown();
  handed.adopted = adopted_.WriteDown(fds);
  for (const auto& [key, running] : running_) {
    protocol::HandedRun& run = handed.runs.emplace_back();
    run.key = static_cast<std::int64_t>(key);
    run.launched_ns = running.launched_ns;
    run.zygote = running.zygote;
    run.failed = running.failed;
    run.slot = keeper_.NumberOf(running.slot);
    run.crash_file = fds.Add(running.crash_file);
    if (running.launch) {
      run.pid = running.launch->pid();
      run.status = fds.Add(running.launch->status());
      run.setup.data = protocol::EncodeBody(running.launch->setup());
    }
  }
  for (const auto& [key, relay] : relays_) {
    handed.relays.push_back(relay->WriteDown(fds));
    handed.relays.back().key = static_cast<std::int64_t>(key);
  }
  handed.examinations = examiner_.WriteDown(fds);
  zygotes_.WriteDown(fds, handed);
  return handed;
}

Result<std::unique_ptr<Launcher>> Launcher::Prepare(
    std::string instance, const protocol::HandedLauncher& handed) {
  Result<PollSet> poll_set = PollSet::Create();
  if (!poll_set) return poll_set.error();
  UniqueFd null_fd(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null_fd) return SystemError("open(/dev/null)", errno);
  std::set<std::int64_t> taken;
  for (const auto& run : handed.runs) taken.insert(run.slot);
  for (const auto& zygote : handed.zygotes) taken.insert(zygote.slot);
  for (const auto& worker : handed.forked) taken.insert(worker.slot);
  Result<Keeper> keeper =
      Keeper::Resume(handed.keeper, std::move(instance), taken);
  if (!keeper) return keeper.error();
  return std::unique_ptr<Launcher>(
      new Launcher(std::move(*poll_set), Cgroups::Resume(handed.cgroups),
                   std::move(*keeper), std::move(null_fd)));
}

Result<void> Launcher::Resume(protocol::HandedLauncher& handed) {
  keeper_missing_ = handed.keeper.missing;
  reaper_.Resume(handed.children);
  adopted_.Resume(handed.adopted);
  for (const protocol::HandedRun& run : handed.runs) {
    const auto key = static_cast<ProcessKey>(run.key);
    Running& running = running_[key];
    running.launched_ns = run.launched_ns;
    running.zygote = run.zygote;
    running.failed = run.failed;
    running.slot = keeper_.SlotOf(run.slot);
    running.crash_file = TakeHanded(run.crash_file);
    if (run.status < 0) continue;
    auto setup = protocol::DecodeBody<protocol::Setup>(run.setup.data);
    running.launch =
        ExecLaunch::Resume(static_cast<pid_t>(run.pid), TakeHanded(run.status),
                           setup ? *setup : protocol::Setup());
    if (running.failed) continue;
    if (auto added = poll_set_.Add(running.launch->status_fd(),
                                   MakeToken(key, TokenKind::kExecStatus));
        !added) {
      return added;
    }
  }
  for (protocol::HandedRelay& relay : handed.relays) {
    const auto key = static_cast<ProcessKey>(relay.key);
    relays_[key] =
        StderrRelay::Resume(poll_set_,
                            {MakeToken(key, TokenKind::kRelaySource),
                             MakeToken(key, TokenKind::kRelayTarget)},
                            std::move(relay));
    if (!relays_[key]->is_watched()) {
      return MakeError(error_code::kLimitReached,
                       "the system does not let forkserverd watch a worker's "
                       "standard error");
    }
  }
  examiner_.Resume(std::move(handed.examinations));
  if (auto resumed = zygotes_.Resume(handed); !resumed) return resumed;
  // What has ended meanwhile, of which no signal may tell any more.
  resumed_ = true;
  SweepBefore(0);
  return {};
}

}  // namespace forkserver::server
