#include "sdk/process/exec_launch.h"

#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <utility>

#include "sdk/base/unix_socket.h"
#include "sdk/process/child_calls.h"
#include "sdk/process/launch_child.h"

#if defined(__SANITIZE_ADDRESS__)
#define FORKSERVER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FORKSERVER_ASAN 1
#endif
#endif
#ifdef FORKSERVER_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace forkserver {
namespace {

// As glibc's execvp(3) without PATH.
constexpr std::string_view kDefaultPath = "/bin:/usr/bin";

// The child needs less than 2 KB; a signal frame fits too.
constexpr std::size_t kStackBytes = 32 * 1024;
constexpr std::size_t kKeptStacks = 32;

// Stacks for CLONE_VM children, kept for the next launch. The lock is for
// client programs that launch directly from several threads.
class StackPool {
 public:
  static StackPool& Instance() {
    static StackPool pool;
    return pool;
  }

  ChildStack Take() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!free_.empty()) {
        void* const base = free_.back();
        free_.pop_back();
#ifdef FORKSERVER_ASAN
        // The last child left by exec and cleaned up nothing.
        __asan_unpoison_memory_region(base, kStackBytes);
#endif
        return {base, kStackBytes};
      }
    }
    void* const base = ::mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) return {};
    return {base, kStackBytes};
  }

  void Give(ChildStack stack) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (free_.size() < kKeptStacks) {
      free_.push_back(stack.base);
    } else {
      ::munmap(stack.base, stack.size);
    }
  }

 private:
  std::mutex mutex_;
  std::vector<void*> free_;
};

// Everything that the child reads. Lives until the status pipe has answered.
struct ChildContext {
  ExecPlan plan;
  std::vector<char*> argv;
  std::vector<char*> env;
  std::atomic<std::uint32_t> unshared = 0;
};

// Of the numbers from `limit` up the plan needs none.
bool IsBelow(const ChildPlan& plan, int limit) {
  return plan.status_fd < limit && plan.extra_fd < limit &&
         std::all_of(
             plan.fds.begin(), plan.fds.end(),
             [limit](const FdMove& move) { return move.source < limit; });
}

void ResetHandlers(const std::vector<int>& signals) {
  namespace sys = child_calls;
  if (!signals.empty()) {
    for (const int signal : signals) sys::DefaultSignal(signal);
    return;
  }
  for (int signal = 1; signal < NSIG; ++signal) {
    if (signal == SIGKILL || signal == SIGSTOP) continue;
    sys::DefaultSignal(signal);
  }
}

// The steps of the child, in order. Runs with all signals blocked, perhaps in
// the memory of the parent: see child_calls.h for what it may do.
int ChildMain(void* argument) {
  namespace sys = child_calls;
  auto& context = *static_cast<ChildContext*>(argument);
  ExecPlan& plan = context.plan;

  // First, so that the keeper knows the group before there is anything that
  // could be left behind.
  if (plan.publish_pid != nullptr) {
    plan.publish_pid->store(sys::GetPid(), std::memory_order_release);
  }
  SetupFailure failure;
  if (plan.share_from > 0) {
    const int outcome =
        sys::UnshareDescriptors(static_cast<unsigned>(plan.share_from));
    if (outcome == 0) {
      sys::Wake(context.unshared);
    } else {
      // The parent waits on, for this one's end: until then the status pipe
      // is where it was.
      failure = {SetupStep::kClose, -outcome, 0};
    }
  }
  ResetHandlers(plan.signals_to_reset);

  if (failure.step == SetupStep::kNone) failure = ApplyChildPlan(plan.child);
  if (failure.step == SetupStep::kNone) {
    // No handler is left: what is pending now ends the child or is ignored.
    sys::UnblockAllSignals();
    // As execvp(3): go on after "not there", remember "not allowed".
    int outcome = -ENOENT;
    for (const std::string& candidate : plan.candidates) {
      const int attempt = sys::Execute(candidate.c_str(), context.argv.data(),
                                       context.env.data());
      if (attempt == -EACCES) {
        outcome = attempt;
      } else if (attempt != -ENOENT && attempt != -ENOTDIR) {
        outcome = attempt;
        break;
      }
    }
    failure = {SetupStep::kExec, -outcome, 0};
  }
  sys::Write(plan.child.status_fd, &failure, sizeof(failure));
  sys::Exit(127);
  return 127;
}

}  // namespace

std::vector<std::string> FindCandidates(const std::string& argv0,
                                        const std::vector<std::string>& env) {
  if (argv0.find('/') != std::string::npos) return {argv0};
  if (argv0.empty()) return {};
  std::string_view path = kDefaultPath;
  constexpr std::string_view kPrefix = "PATH=";
  for (const std::string& variable : env) {
    const std::string_view view = variable;
    if (view.substr(0, kPrefix.size()) == kPrefix) {
      path = view.substr(kPrefix.size());
      break;
    }
  }
  std::vector<std::string> candidates;
  for (;;) {
    const std::size_t colon = path.find(':');
    const std::string_view folder = path.substr(0, colon);
    // An empty element is the working directory.
    std::string candidate(folder.empty() ? std::string_view(".") : folder);
    candidate += '/';
    candidate += argv0;
    candidates.push_back(std::move(candidate));
    if (colon == std::string_view::npos) break;
    path.remove_prefix(colon + 1);
  }
  return candidates;
}

struct ExecLaunch::State {
  ChildContext context;
  ChildStack stack;
  LaunchedChild child;
  UniqueFd status;
  bool answered = false;

  ~State() {
    if (child.pid > 0 && !answered && stack.base != nullptr) {
      // The child may still run on our memory: wait until it does not. Not
      // for its failure but for the end of file: it leaves after the write.
      pollfd waiting = {status.get(), 0, 0};
      while (::poll(&waiting, 1, -1) < 0 && errno == EINTR) {
      }
    }
    if (stack.base != nullptr) StackPool::Instance().Give(stack);
  }
};

Result<ExecLaunch> ExecLaunch::Start(ExecPlan plan) {
  const auto failed = [](const char* step, const Error& cause) {
    Error error = MakeError(error_code::kLaunchFailed, cause.message);
    error.step = step;
    error.error_number = cause.error_number;
    return error;
  };
  auto state = std::make_unique<State>();
  Result<Pipe> pipe = MakePipe(/*non_blocking=*/true);
  if (!pipe) return failed("pipe", pipe.error());
  state->status = std::move(pipe->read_end);

  const bool want_pidfd = plan.want_pidfd;
  const bool share = plan.method != LaunchMethod::kFork &&
                     SharedMemoryChildSupported() &&
                     !NeedsOwnMemory(plan.child);
  state->context.plan = std::move(plan);
  ChildContext& context = state->context;
  context.plan.child.status_fd = pipe->write_end.get();
  if (!share || !IsBelow(context.plan.child, context.plan.share_from)) {
    context.plan.share_from = 0;
  }
  context.argv = PointersTo(context.plan.argv);
  context.env = PointersTo(context.plan.env);
  if (share) {
    state->stack = StackPool::Instance().Take();
    if (state->stack.base == nullptr) {
      return failed("mmap", SystemError("mmap()", errno));
    }
  }

  // A handler of the parent must never run in the child.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  Result<LaunchedChild> child =
      share ? MakeSharedMemoryChild(ChildMain, &context, state->stack,
                                    want_pidfd, context.plan.share_from > 0)
            : MakeForkedChild(ChildMain, &context, want_pidfd);
  if (!child && share && context.plan.method == LaunchMethod::kBest &&
      child.error().error_number != EAGAIN &&
      child.error().error_number != ENOMEM) {
    // A seccomp filter that does not like the flags.
    context.plan.share_from = 0;
    child = MakeForkedChild(ChildMain, &context, want_pidfd);
  }
  if (child && context.plan.share_from > 0) {
    AwaitUnshared(context.unshared, child->pid);
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!child) return failed("clone", child.error());
  state->child = std::move(*child);
  return ExecLaunch(std::move(state));
}

ExecLaunch ExecLaunch::Resume(pid_t pid, UniqueFd status,
                              const protocol::Setup& setup) {
  // The memory that the child uses was that program's, and is still the
  // child's.
  auto state = std::make_unique<State>();
  state->child.pid = pid;
  state->status = std::move(status);
  ExecPlan& plan = state->context.plan;
  plan.child.cwd = setup.cwd;
  plan.argv = setup.argv;
  if (setup.nice) plan.child.nice = static_cast<int>(*setup.nice);
  return ExecLaunch(std::move(state));
}

ExecLaunch::ExecLaunch(std::unique_ptr<State> state)
    : state_(std::move(state)) {}
ExecLaunch::ExecLaunch(ExecLaunch&&) noexcept = default;
ExecLaunch& ExecLaunch::operator=(ExecLaunch&&) noexcept = default;
ExecLaunch::~ExecLaunch() = default;

void ExecLaunch::Abandon() { static_cast<void>(state_.release()); }

pid_t ExecLaunch::pid() const { return state_->child.pid; }
UniqueFd& ExecLaunch::pidfd() { return state_->child.pidfd; }
const UniqueFd& ExecLaunch::status() const { return state_->status; }

Result<bool> ExecLaunch::ReadStatus() {
  SetupFailure failure;
  ssize_t size;
  do {
    size = ::read(state_->status.get(), &failure, sizeof(failure));
  } while (size < 0 && errno == EINTR);
  if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
  if (size == static_cast<ssize_t>(sizeof(failure))) {
    // `answered` only at the end of file: until then the child is on its way
    // out through our memory. Its exit closes the pipe; the destructor waits.
    return DescribeFailure(failure, setup());
  }
  state_->answered = true;
  return true;
}

protocol::Setup ExecLaunch::setup() const {
  const ExecPlan& plan = state_->context.plan;
  protocol::Setup setup;
  setup.cwd = plan.child.cwd;
  setup.argv = plan.argv;
  if (plan.child.nice) setup.nice = *plan.child.nice;
  return setup;
}

}  // namespace forkserver
