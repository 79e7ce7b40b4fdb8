#include "sdk/process/child_setup.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstring>
#include <utility>

#include "sdk/process/child_calls.h"
#include "sdk/process/platform.h"

namespace forkserver {
namespace {

using protocol::Setup;

// A descriptor number beyond this is a mistake, and would make the kernel
// allocate a table for it.
constexpr std::int64_t kMaxChildFd = 65535;

Error BadRequest(std::string message) {
  return MakeError(error_code::kBadRequest, std::move(message));
}

Result<void> PlanDescriptors(const Setup& setup,
                             const std::vector<UniqueFd>& received, int null_fd,
                             ChildPlan& plan) {
  const auto count = static_cast<std::int64_t>(received.size());
  std::vector<bool> named(received.size(), false);
  const auto borrow = [&](std::int64_t index) -> Result<int> {
    if (index < 0 || index >= count) {
      return MakeError(error_code::kBadDescriptor,
                       "descriptor index " + std::to_string(index) +
                           " is out of range: " + std::to_string(count) +
                           " descriptors came with the request");
    }
    named[static_cast<std::size_t>(index)] = true;
    return received[static_cast<std::size_t>(index)].get();
  };
  plan.fds.reserve(setup.fds.size() + 3);
  for (const protocol::FdPlacement& placement : setup.fds) {
    if (placement.child_fd < 0 || placement.child_fd > kMaxChildFd) {
      return MakeError(
          error_code::kBadDescriptor,
          "child descriptor " + std::to_string(placement.child_fd) +
              " is out of range 0.." + std::to_string(kMaxChildFd));
    }
    Result<int> source = borrow(placement.index);
    if (!source) return source.error();
    plan.fds.push_back({static_cast<int>(placement.child_fd), *source});
  }
  if (setup.result) {
    Result<int> source = borrow(*setup.result);
    if (!source) return source.error();
    plan.extra_fd = *source;
  }
  const auto unnamed = std::find(named.begin(), named.end(), false);
  if (unnamed != named.end()) {
    return MakeError(error_code::kBadDescriptor,
                     "descriptor " + std::to_string(unnamed - named.begin()) +
                         " was sent and is not announced in 'setup.fds'");
  }
  std::sort(
      plan.fds.begin(), plan.fds.end(),
      [](const FdMove& a, const FdMove& b) { return a.target < b.target; });
  for (std::size_t i = 1; i < plan.fds.size(); ++i) {
    if (plan.fds[i].target == plan.fds[i - 1].target) {
      return MakeError(error_code::kBadDescriptor,
                       "child descriptor " +
                           std::to_string(plan.fds[i].target) +
                           " is named twice in 'setup.fds'");
    }
  }
  for (int stream = 0; stream <= 2; ++stream) {
    const auto at = std::lower_bound(
        plan.fds.begin(), plan.fds.end(), stream,
        [](const FdMove& move, int target) { return move.target < target; });
    if (at == plan.fds.end() || at->target != stream) {
      plan.fds.insert(at, {stream, null_fd});
    }
  }
  return {};
}

Result<void> PlanLimits(const Setup& setup, const ResourceLimits& base,
                        ChildPlan& plan) {
  const auto add = [&plan](const std::string& name, const ResourceLimit& limit,
                           bool required) -> Result<void> {
    const int resource = LimitByName(name);
    if (resource < 0) {
      std::string known;
      for (const std::string& one : LimitNames()) known += " " + one;
      return BadRequest("there is no limit '" + name + "', known are:" + known);
    }
    const auto value = [](std::int64_t number) {
      return number < 0 ? RLIM_INFINITY : static_cast<rlim_t>(number);
    };
    if (value(limit.soft) > value(limit.hard)) {
      return BadRequest("limit '" + name + "': soft is above hard");
    }
    plan.limits.push_back(
        {resource, {value(limit.soft), value(limit.hard)}, required});
    return {};
  };
  for (const auto& [name, limit] : base) {
    if (setup.limits.count(name) != 0) continue;
    if (auto added = add(name, limit, false); !added) return added.error();
  }
  for (const auto& [name, limit] : setup.limits) {
    if (auto added = add(name, limit, true); !added) return added.error();
  }
  return {};
}

constexpr std::size_t kCpusPerWord = sizeof(unsigned long) * CHAR_BIT;
// The kernel must be able to give the whole mask back: 8192 is the most that
// one can be built for.
constexpr std::int64_t kMaxCpus = 8192;
constexpr std::size_t kCpuWords = kMaxCpus / kCpusPerWord;

// The class in ioprio_set(2).
int NumberOf(IoClass io_class) {
  switch (io_class) {
    case IoClass::kRealtime:
      return 1;
    case IoClass::kBestEffort:
      return 2;
    case IoClass::kIdle:
      return 3;
  }
  return 0;
}

Result<void> PlanScheduling(const Setup& setup, ChildPlan& plan) {
  const char* const asked = !setup.cpus.empty()   ? "cpus"
                            : setup.io_priority   ? "io_priority"
                            : setup.oom_score_adj ? "oom_score_adj"
                            : setup.no_new_privs  ? "no_new_privs"
                                                  : nullptr;
  if (asked == nullptr) return {};
  if (!child_calls::kHasSchedulingLimits) {
    return MakeError(error_code::kUnsupported,
                     std::string("'setup.") + asked +
                         "': this system has no such thing, only Linux has");
  }
  if (!setup.cpus.empty()) plan.cpus.assign(kCpuWords, 0);
  for (const std::int64_t cpu : setup.cpus) {
    if (cpu < 0 || cpu >= kMaxCpus) {
      return BadRequest("'setup.cpus' must be in 0.." +
                        std::to_string(kMaxCpus - 1) + ", not " +
                        std::to_string(cpu));
    }
    const auto number = static_cast<std::size_t>(cpu);
    plan.cpus[number / kCpusPerWord] |= 1UL << (number % kCpusPerWord);
  }
  if (setup.io_priority &&
      (setup.io_priority->level < 0 || setup.io_priority->level > 7)) {
    return BadRequest("'setup.io_priority.level' must be in 0..7, not " +
                      std::to_string(setup.io_priority->level));
  }
  plan.io_priority = setup.io_priority;
  if (setup.oom_score_adj) {
    const std::int64_t score = *setup.oom_score_adj;
    if (score < -1000 || score > 1000) {
      return BadRequest("'setup.oom_score_adj' must be in -1000..1000, not " +
                        std::to_string(score));
    }
    plan.oom_score_adj = static_cast<int>(score);
  }
  plan.no_new_privs = setup.no_new_privs;
  return {};
}

bool HasNul(const std::string& text) {
  return text.find('\0') != std::string::npos;
}

}  // namespace

std::string_view NameOf(SetupStep step) {
  switch (step) {
    case SetupStep::kNone:
      return "";
    case SetupStep::kParentDeath:
      return "prctl";
    case SetupStep::kGroup:
      return "setpgid";
    case SetupStep::kCgroup:
      return "cgroup";
    case SetupStep::kDescriptors:
      return "dup2";
    case SetupStep::kClose:
      return "close_range";
    case SetupStep::kTerminal:
      return "ioctl";
    case SetupStep::kUmask:
      return "umask";
    case SetupStep::kNice:
      return "setpriority";
    case SetupStep::kLimits:
      return "setrlimit";
    case SetupStep::kCpus:
      return "sched_setaffinity";
    case SetupStep::kIoPriority:
      return "ioprio_set";
    case SetupStep::kOomScore:
      return "oom_score_adj";
    case SetupStep::kNoNewPrivs:
      return "no_new_privs";
    case SetupStep::kChdir:
      return "chdir";
    case SetupStep::kSignals:
      return "sigaction";
    case SetupStep::kExec:
      return "execve";
  }
  return "";
}

Error DescribeFailure(const SetupFailure& failure, const Setup& setup) {
  Error error;
  error.code = error_code::kLaunchFailed;
  error.step = NameOf(failure.step);
  error.error_number = failure.error_number;
  std::string arguments;
  switch (failure.step) {
    case SetupStep::kDescriptors:
      arguments = "to " + std::to_string(failure.detail);
      if (failure.error_number == EBADF || failure.error_number == EINVAL ||
          failure.error_number == EMFILE) {
        error.hint = "the number is above the daemon's limit of descriptors";
      }
      break;
    case SetupStep::kTerminal:
      arguments = "0, TIOCSCTTY";
      error.hint =
          "descriptor 0 must be a terminal that no other session has, as "
          "openpty(3) makes one";
      break;
    case SetupStep::kNice:
      arguments = setup.nice ? std::to_string(*setup.nice) : "";
      break;
    case SetupStep::kLimits:
      for (const std::string& name : LimitNames()) {
        if (LimitByName(name) == failure.detail) arguments = name;
      }
      if (failure.error_number == EPERM) {
        error.hint = "a hard limit can be lowered, not raised";
      }
      break;
    case SetupStep::kCpus:
      arguments = "CPU " + std::to_string(failure.detail);
      if (failure.error_number == EINVAL) {
        error.hint =
            "this machine has no such CPU, or a cpuset keeps it from "
            "forkserverd";
      }
      break;
    case SetupStep::kIoPriority:
      if (failure.error_number == EPERM) {
        error.hint = "'realtime' needs CAP_SYS_NICE or CAP_SYS_ADMIN";
      }
      break;
    case SetupStep::kOomScore:
      arguments = std::to_string(failure.detail);
      if (failure.error_number == EACCES) {
        error.hint = "to lower it needs CAP_SYS_RESOURCE";
      }
      break;
    case SetupStep::kChdir:
      arguments = setup.cwd;
      break;
    case SetupStep::kExec:
      arguments = setup.argv.empty() ? "" : setup.argv[0];
      if (failure.error_number == ENOENT) {
        error.hint = arguments.find('/') == std::string::npos
                         ? "it is in no folder of the PATH in the request"
                         : "the file, or the interpreter that it names, does "
                           "not exist";
      } else if (failure.error_number == EACCES) {
        error.hint = "it is not an executable file";
      } else if (failure.error_number == ENOEXEC) {
        error.hint =
            "it is neither a program for this machine nor a script "
            "with a #! line";
      } else if (failure.error_number == E2BIG) {
        error.hint =
            "arguments and environment together are too large for "
            "this system";
      }
      break;
    default:
      break;
  }
  error.message = error.step + "(" + arguments +
                  "): " + std::strerror(failure.error_number);
  return error;
}

Result<ChildPlan> PrepareChildPlan(const Setup& setup,
                                   const std::vector<UniqueFd>& received,
                                   int null_fd,
                                   const ResourceLimits& base_limits) {
  ChildPlan plan;
  for (const std::string& argument : setup.argv) {
    if (HasNul(argument)) {
      return BadRequest("an element of 'setup.argv' holds a NUL byte");
    }
  }
  for (const std::string& variable : setup.env) {
    if (HasNul(variable)) {
      return BadRequest("an element of 'setup.env' holds a NUL byte");
    }
  }
  if (setup.cwd.empty() || setup.cwd[0] != '/' || HasNul(setup.cwd)) {
    return BadRequest("'setup.cwd' must be an absolute path, not '" +
                      setup.cwd + "'");
  }
  if (setup.umask < 0 || setup.umask > 0777) {
    return BadRequest("'setup.umask' must be in 0..511 (octal 0777), not " +
                      std::to_string(setup.umask));
  }
  if (setup.nice && (*setup.nice < -20 || *setup.nice > 19)) {
    return BadRequest("'setup.nice' must be in -20..19, not " +
                      std::to_string(*setup.nice));
  }
  plan.group = setup.group;
  plan.umask = static_cast<mode_t>(setup.umask);
  if (setup.nice) plan.nice = static_cast<int>(*setup.nice);
  plan.cwd = setup.cwd;
  if (auto planned = PlanDescriptors(setup, received, null_fd, plan);
      !planned) {
    return planned.error();
  }
  if (auto planned = PlanLimits(setup, base_limits, plan); !planned) {
    return planned.error();
  }
  if (auto planned = PlanScheduling(setup, plan); !planned) {
    return planned.error();
  }
  return plan;
}

namespace {

namespace sys = child_calls;

SetupFailure Fail(SetupStep step, int negative_errno, int detail = 0) {
  return {step, -negative_errno, detail};
}

SetupFailure MoveDescriptors(ChildPlan& plan) {
  // Everything that must survive goes above the targets first, so that no
  // dup2 below can overwrite a source that is still needed.
  const int above = plan.fds.back().target + 1;
  for (int* kept : {&plan.status_fd, &plan.extra_fd}) {
    if (*kept < 0 || *kept >= above) continue;
    const int moved = sys::DuplicateAbove(*kept, above);
    if (moved < 0) return Fail(SetupStep::kDescriptors, moved, *kept);
    *kept = moved;
  }
  for (FdMove& move : plan.fds) {
    if (move.source >= above || move.source == move.target) continue;
    const int moved = sys::DuplicateAbove(move.source, above);
    if (moved < 0) return Fail(SetupStep::kDescriptors, moved, move.target);
    move.source = moved;
  }
  for (const FdMove& move : plan.fds) {
    const int outcome = move.source == move.target
                            ? sys::KeepOnExec(move.target)
                            : sys::DuplicateTo(move.source, move.target);
    if (outcome < 0) return Fail(SetupStep::kDescriptors, outcome, move.target);
  }
  return {};
}

SetupFailure CloseOthers(const ChildPlan& plan) {
  unsigned next = 0;
  const auto skip = [&](int open) {
    const auto number = static_cast<unsigned>(open);
    if (number < next) return 0;
    const int outcome =
        number > next ? sys::CloseRange(next, number - 1, plan.use_close_range)
                      : 0;
    next = number + 1;
    return outcome;
  };
  std::size_t kept_before = 0;
  const auto close_up_to = [&](int open) {
    for (; kept_before < plan.kept.size() && plan.kept[kept_before] < open;
         ++kept_before) {
      if (const int outcome = skip(plan.kept[kept_before]); outcome < 0) {
        return outcome;
      }
    }
    return skip(open);
  };
  for (const FdMove& move : plan.fds) {
    if (const int outcome = close_up_to(move.target); outcome < 0) {
      return Fail(SetupStep::kClose, outcome);
    }
  }
  int low = plan.status_fd;
  int high = plan.extra_fd;
  if (low > high) std::swap(low, high);
  for (const int kept : {low, high}) {
    if (kept < 0) continue;
    if (const int outcome = close_up_to(kept); outcome < 0) {
      return Fail(SetupStep::kClose, outcome);
    }
  }
  for (; kept_before < plan.kept.size(); ++kept_before) {
    if (const int outcome = skip(plan.kept[kept_before]); outcome < 0) {
      return Fail(SetupStep::kClose, outcome);
    }
  }
  const int outcome = sys::CloseRange(next, ~0u, plan.use_close_range);
  return outcome < 0 ? Fail(SetupStep::kClose, outcome) : SetupFailure{};
}

// The client's limits where this process, or whoever started it, has had its
// hard limit lowered: `ulimit -c 0` in one shell must not keep the workers of
// all others from starting.
int SetBelowOwn(const LimitStep& limit) {
  struct rlimit own = {};
  const int outcome = sys::GetLimit(limit.resource, &own);
  if (outcome < 0) return outcome;
  const struct rlimit value = {std::min(limit.value.rlim_cur, own.rlim_max),
                               std::min(limit.value.rlim_max, own.rlim_max)};
  return sys::SetLimit(limit.resource, &value);
}

// All of them, or a failure: the kernel takes a mask of which it has one CPU.
SetupFailure SetExactly(const std::vector<unsigned long>& wanted) {
  const std::size_t bytes = wanted.size() * sizeof(wanted[0]);
  const int outcome = sys::SetCpus(wanted.data(), bytes);
  if (outcome < 0 && outcome != -EINVAL) {
    return Fail(SetupStep::kCpus, outcome);
  }
  unsigned long got[kCpuWords] = {};
  if (outcome == 0) {
    const int read = sys::GetCpus(got, sizeof(got));
    if (read < 0) return Fail(SetupStep::kCpus, read);
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const unsigned long missing = wanted[i] & ~got[i];
    if (missing == 0) continue;
    const auto cpu =
        i * kCpusPerWord + static_cast<std::size_t>(__builtin_ctzl(missing));
    return Fail(SetupStep::kCpus, -EINVAL, static_cast<int>(cpu));
  }
  return {};
}

SetupFailure ApplyScheduling(const ChildPlan& plan) {
  if (!plan.cpus.empty()) {
    const SetupFailure failure = SetExactly(plan.cpus);
    if (failure.step != SetupStep::kNone) return failure;
  }
  if (plan.io_priority) {
    const int outcome =
        sys::SetIoPriority(NumberOf(plan.io_priority->io_class),
                           static_cast<int>(plan.io_priority->level));
    if (outcome < 0) return Fail(SetupStep::kIoPriority, outcome);
  }
  if (plan.oom_score_adj) {
    char digits[8];
    const auto [end, error] =
        std::to_chars(digits, digits + sizeof(digits), *plan.oom_score_adj);
    static_cast<void>(error);
    const int outcome = sys::SetOomScoreAdjustment(
        {digits, static_cast<std::size_t>(end - digits)});
    if (outcome < 0) {
      return Fail(SetupStep::kOomScore, outcome, *plan.oom_score_adj);
    }
  }
  if (plan.no_new_privs) {
    const int outcome = sys::SetNoNewPrivileges();
    if (outcome < 0) return Fail(SetupStep::kNoNewPrivs, outcome);
  }
  return {};
}

}  // namespace

std::vector<char*> PointersTo(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (std::string& string : strings) pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

SetupFailure ApplyChildPlan(ChildPlan& plan) noexcept {
  const int grouped = plan.group == GroupKind::kProcessGroup
                          ? sys::SetProcessGroup()
                          : sys::NewSession();
  if (grouped < 0) return Fail(SetupStep::kGroup, grouped);

  if (plan.cgroup_fd >= 0) {
    const long joined = sys::Write(plan.cgroup_fd, "0", 1);
    if (joined < 0) {
      return Fail(SetupStep::kCgroup, static_cast<int>(joined));
    }
  }
  SetupFailure failure = MoveDescriptors(plan);
  if (failure.step != SetupStep::kNone) return failure;
  // Before anything that may wait for a filesystem: a child that hangs there
  // must not keep the connections of others open.
  failure = CloseOthers(plan);
  if (failure.step != SetupStep::kNone) return failure;

  if (plan.group == GroupKind::kTerminal) {
    const int taken = sys::TakeTerminal(0);
    if (taken < 0) return Fail(SetupStep::kTerminal, taken);
  }
  sys::Umask(plan.umask);
  if (plan.nice) {
    const int outcome = sys::SetNiceness(*plan.nice);
    if (outcome < 0) return Fail(SetupStep::kNice, outcome);
  }
  for (const LimitStep& limit : plan.limits) {
    int outcome = sys::SetLimit(limit.resource, &limit.value);
    if (outcome == -EPERM && !limit.required) outcome = SetBelowOwn(limit);
    if (outcome < 0) return Fail(SetupStep::kLimits, outcome, limit.resource);
  }
  failure = ApplyScheduling(plan);
  if (failure.step != SetupStep::kNone) return failure;
  const int moved = sys::ChangeDirectory(plan.cwd.c_str());
  if (moved < 0) return Fail(SetupStep::kChdir, moved);
  return {};
}

}  // namespace forkserver
