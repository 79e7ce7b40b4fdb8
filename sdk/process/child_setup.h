// The ordered steps that turn a fresh child into the worker that was asked
// for: group, cgroup, descriptors, terminal, umask, niceness, limits, CPUs, I/O
// priority, OOM score, no_new_privs, working directory. Shared by exec workers
// (between fork and exec) and forked workers (before the entry).
//
// Two phases. PrepareChildPlan runs in the parent: it checks everything that
// can be checked without side effects and allocates. ApplyChildPlan runs in
// the child: async-signal-safe, allocates nothing, does not touch errno, safe
// in a child that shares its memory with the parent (CLONE_VM).
#pragma once

#include <forkserver/result.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/protocol/messages.h"

namespace forkserver {

// A step of a launch, as named in errors.
enum class SetupStep : std::int32_t {
  kNone,
  kParentDeath,  // "prctl"
  kGroup,        // "setpgid"
  kCgroup,       // "cgroup"
  kDescriptors,  // "dup2"
  kClose,        // "close_range"
  kTerminal,     // "ioctl"
  kUmask,        // "umask"
  kNice,         // "setpriority"
  kLimits,       // "setrlimit"
  kCpus,         // "sched_setaffinity"
  kIoPriority,   // "ioprio_set"
  kOomScore,     // "oom_score_adj"
  kNoNewPrivs,   // "no_new_privs"
  kChdir,        // "chdir"
  kSignals,      // "sigaction"
  kExec,         // "execve"
};
std::string_view NameOf(SetupStep step);

// What failed in the child. Written as it is on a status pipe, and read perhaps
// by another version: it is not changed.
struct SetupFailure {
  SetupStep step = SetupStep::kNone;
  std::int32_t error_number = 0;
  // kDescriptors: the child's descriptor; kLimits: the resource; kCpus: one
  // that is not to be had; kOomScore: the score.
  std::int32_t detail = 0;
};
// The failure as an Error "launch_failed" with its step and errno.
Error DescribeFailure(const SetupFailure& failure,
                      const protocol::Setup& setup);

// Descriptor `source` of this process becomes `target` of the child. In the
// child `source` is replaced by a copy above every target where needed.
struct FdMove {
  int target = -1;
  int source = -1;
};

struct LimitStep {
  int resource = 0;
  struct rlimit value = {};
  // False: where the hard limit of this process is lower, and it may not raise
  // it, that one counts.
  bool required = true;
};

struct ChildPlan {
  GroupKind group = GroupKind::kProcessGroup;
  std::vector<FdMove> fds;  // by ascending target, no target twice
  // Stays open in the child, close-on-exec, at a number above every target;
  // -1: none.
  int status_fd = -1;
  // The same for one more descriptor: that of `setup.result`, or one that is
  // held until the program runs.
  int extra_fd = -1;
  // The cgroup.procs of the cgroup to join, borrowed; -1: none.
  int cgroup_fd = -1;
  mode_t umask = 022;
  std::optional<int> nice;
  std::vector<LimitStep> limits;
  // A bit for each CPU, the least significant first; empty: as this process.
  std::vector<unsigned long> cpus;
  std::optional<IoPriority> io_priority;
  std::optional<int> oom_score_adj;
  bool no_new_privs = false;
  std::string cwd;
  // These stay open under their numbers too; ascending.
  std::vector<int> kept;
  // False: pretend that the kernel has no close_range(2) (for tests).
  bool use_close_range = true;
};

// The child must not share its memory with this process until it executes: the
// kernel gives an OOM score to all who share it, and when the memory of a
// cgroup is used up kills them all.
inline bool NeedsOwnMemory(const ChildPlan& plan) {
  return plan.oom_score_adj.has_value() || plan.cgroup_fd >= 0;
}

// `received`: the descriptors of the frame, borrowed, indexed by the setup.
// `null_fd`: an open /dev/null, borrowed, for streams that are not named.
// `base_limits`: applied where the setup names no limit, as far as possible.
// Errors: "bad_request", "bad_descriptor" (an index out of range, a received
// descriptor that nothing names, a target twice or out of range),
// "unsupported" (this system has no such limit).
Result<ChildPlan> PrepareChildPlan(const protocol::Setup& setup,
                                   const std::vector<UniqueFd>& received,
                                   int null_fd,
                                   const ResourceLimits& base_limits);

// As execve(2) and environ(7) want them: into `strings`, then a null pointer.
std::vector<char*> PointersTo(std::vector<std::string>& strings);

// Runs the steps. Every descriptor that the plan does not name is closed; what
// a target and `kept` have in common is the target's. On return
// `plan.status_fd` and `plan.extra_fd` are the numbers they now have.
SetupFailure ApplyChildPlan(ChildPlan& plan) noexcept;

}  // namespace forkserver
