// The part of Supervisor that ends workers with all that they started.
#include <algorithm>
#include <csignal>
#include <set>
#include <utility>

#include "sdk/process/platform.h"
#include "server/supervisor/supervisor.h"

namespace forkserver::server {
namespace {

// How often it is looked whether what was killed is gone.
constexpr std::int64_t kTreeLookNs = 2'000'000;
// As many as are looked through in a few milliseconds.
constexpr std::size_t kTreesStoppedAtOnce = 64;
// One that hops from process to process has been met by then; and among many
// that end all the time, nobody waits for longer than this to be sure.
constexpr std::int64_t kUnclearNs = 5'000'000'000;

}  // namespace

void Supervisor::LookAtTreesSoon(std::int64_t delay_ns) {
  if (std::exchange(look_at_trees_soon_, true)) return;
  AddDeadline({MonotonicNanoseconds() + delay_ns, 0, DeadlineKind::kTrees});
}

void Supervisor::LookAtTrees() {
  if (trees_to_stop_.empty() && trees_to_end_.empty()) return;
  // One look at the children of this process, of which there may be
  // thousands, for all of them.
  std::set<std::string> adopted;
  for (const auto* const keys : {&trees_to_stop_, &trees_to_end_}) {
    for (const ProcessKey key : *keys) {
      const auto found = workers_.find(key);
      if (found == workers_.end()) continue;
      const std::string& id = found->second.first_id;
      if (!id.empty()) adopted.insert(id);
    }
  }
  const Orphans orphans = launcher_.ListOrphans(adopted);
  const auto orphans_of = [&](const Worker& worker) {
    const auto found = orphans.of_worker.find(
        worker.first_id.empty() ? worker.id : worker.first_id);
    return found == orphans.of_worker.end() ? std::vector<pid_t>()
                                            : found->second;
  };
  const std::size_t stopped =
      std::min(trees_to_stop_.size(), kTreesStoppedAtOnce);
  for (std::size_t i = 0; i < stopped; ++i) {
    const auto found = workers_.find(trees_to_stop_[i]);
    if (found == workers_.end() || found->second.ended) continue;
    const Worker& worker = found->second;
    std::vector<pid_t> others = orphans_of(worker);
    if (worker.cgroup && worker.pid > 0) {
      // Whoever left the tree is still there.
      for (const pid_t pid : launcher_.cgroups().Members(worker.key)) {
        others.push_back(pid);
      }
    }
    for (const int signal : {worker.stop_signal, SIGCONT}) {
      launcher_.SignalTree(worker.key, worker.pid, others, signal);
    }
  }
  trees_to_stop_.erase(
      trees_to_stop_.begin(),
      trees_to_stop_.begin() + static_cast<std::ptrdiff_t>(stopped));
  for (const ProcessKey key : std::exchange(trees_to_end_, {})) {
    Worker& worker = workers_.at(key);
    if (worker.cgroup) {
      if (launcher_.cgroups().Kill(key)) {
        trees_to_end_.push_back(key);
      } else {
        Finish(worker, *worker.ended);
      }
      continue;
    }
    const std::int64_t late_ns =
        MonotonicNanoseconds() - worker.ended->status.ended_ns;
    const std::vector<pid_t> left = orphans_of(worker);
    const int reached =
        left.empty() ? 0 : launcher_.SignalTree(key, 0, left, SIGKILL);
    // Where none could be reached they have ended, and may have left others
    // behind; or they may not be signalled.
    const bool unclear = orphans.unclear || !left.empty();
    if (reached == 0 && (!unclear || late_ns > kUnclearNs)) {
      Finish(worker, *worker.ended);
    } else {
      trees_to_end_.push_back(key);
    }
  }
  if (!trees_to_stop_.empty() || !trees_to_end_.empty()) {
    LookAtTreesSoon(kTreeLookNs);
  }
}

}  // namespace forkserver::server
