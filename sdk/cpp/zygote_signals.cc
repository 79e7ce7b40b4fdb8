#include "sdk/cpp/zygote_signals.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/select.h>

namespace forkserver {
namespace {

// Written by the handler in the loop's thread, inside of pselect(2), and so
// never while TakeHints reads. What does not fit is found by looking at
// everything.
constexpr int kMaxHints = 256;
volatile pid_t hints[kMaxHints];
volatile std::sig_atomic_t hint_count = 0;
pthread_t loop_thread;

void NoteEndedChild(int number, siginfo_t* info, void*) {
  // A thread that a preload step left may take the signal while the loop has
  // it blocked. The loop then hears of it without its pid.
  if (::pthread_equal(::pthread_self(), loop_thread) == 0) {
    ::pthread_kill(loop_thread, number);
    return;
  }
  if (hint_count >= kMaxHints) return;
  hints[hint_count] = info->si_pid;
  hint_count = hint_count + 1;
}

}  // namespace

ZygoteSignals::ZygoteSignals() {
  hint_count = 0;
  loop_thread = ::pthread_self();
  sigset_t child = {};
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &child, &old_mask_);
  loop_mask_ = old_mask_;
  sigaddset(&loop_mask_, SIGCHLD);
  wait_mask_ = old_mask_;
  sigdelset(&wait_mask_, SIGCHLD);

  struct sigaction action = {};
  action.sa_sigaction = NoteEndedChild;
  action.sa_flags = SA_SIGINFO | SA_NOCLDSTOP;
  sigfillset(&action.sa_mask);
  ::sigaction(SIGCHLD, &action, &old_child_action_);

  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, &old_pipe_action_);
}

ZygoteSignals::~ZygoteSignals() {
  RestoreInChild();
  RestorePipeSignal();
}

ZygoteSignals::Wake ZygoteSignals::Wait(int fd, std::int64_t wait_ns) {
  fd_set readable;
  FD_ZERO(&readable);
  FD_SET(fd, &readable);
  timespec time = {};
  time.tv_sec = wait_ns / 1'000'000'000;
  time.tv_nsec = wait_ns % 1'000'000'000;
  const int ready = ::pselect(fd + 1, &readable, nullptr, nullptr,
                              wait_ns < 0 ? nullptr : &time, &wait_mask_);
  if (ready == 0) return Wake::kIdle;
  return ready > 0 ? Wake::kReadable : Wake::kInterrupted;
}

void ZygoteSignals::Poll() {
  // pselect(2) leaves a signal pending when a descriptor is ready, so under a
  // stream of requests Wait alone would never learn of an end.
  const timespec none = {};
  ::pselect(0, nullptr, nullptr, nullptr, &none, &wait_mask_);
}

void ZygoteSignals::TakeHints(std::vector<pid_t>& pids) {
  for (int i = 0; i < hint_count; ++i) {
    const pid_t pid = hints[i];
    pids.push_back(pid);
  }
  hint_count = 0;
}

void ZygoteSignals::BlockAll() {
  sigset_t all = {};
  sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
}

void ZygoteSignals::UnblockAfterFork() {
  ::sigprocmask(SIG_SETMASK, &loop_mask_, nullptr);
}

void ZygoteSignals::RestoreInChild() {
  ::sigaction(SIGCHLD, &old_child_action_, nullptr);
  ::sigprocmask(SIG_SETMASK, &old_mask_, nullptr);
}

void ZygoteSignals::RestorePipeSignal() {
  ::sigaction(SIGPIPE, &old_pipe_action_, nullptr);
}

bool BelowSelectLimit(UniqueFd& fd) {
  if (fd.get() < FD_SETSIZE) return true;
  fd.Reset(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
  return fd.valid() && fd.get() < FD_SETSIZE;
}

}  // namespace forkserver
