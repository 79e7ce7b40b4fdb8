#include "tools/forkserver/attached_worker.h"

#include <poll.h>

#include <csignal>
#include <optional>
#include <utility>
#include <vector>

#include "tools/forkserver/output.h"
#include "tools/forkserver/signal_pipe.h"
#include "tools/forkserver/worker_outcome.h"

namespace forkserver::cli {
namespace {

// Without a daemon there is no descriptor for a worker's timeout: SIGCHLD
// tells of its end, and the clock is looked at this often.
constexpr int kDirectPollMs = 100;

class AttachedWorker {
 public:
  AttachedWorker(Client& client, SignalPipe signals, TerminalRelay* terminal)
      : client_(client), signals_(std::move(signals)), terminal_(terminal) {}

  int Run(const std::function<void(LaunchDone)>& start) {
    start([this](Result<Worker> worker) {
      launch_ = std::move(worker);
      if (!*launch_) return;
      if (terminal_ != nullptr) terminal_->Begin((*launch_)->pid);
      client_.OnExit((*launch_)->id, [this](Result<ExitRecord> record) {
        record_ = std::move(record);
      });
    });
    while (true) {
      Result<void> processed = client_.Process();
      if (launch_ && !*launch_) return ReportLaunchFailure(launch_->error());
      if (record_ || !processed) {
        if (terminal_ != nullptr) terminal_->Finish();
        if (!record_) return Fail(processed.error());
        return *record_ ? ReportEnd(**record_) : Fail(record_->error());
      }
      // These may have read more than their reply.
      bool moved = ForwardSignals();
      if (terminal_ != nullptr && terminal_->Move()) {
        Suspend();
        moved = true;
      }
      if (!moved) Wait();
    }
  }

 private:
  void Wait() {
    std::vector<pollfd> polled;
    if (terminal_ != nullptr) polled = terminal_->Polled();
    polled.push_back({signals_.descriptor(), POLLIN, 0});
    const bool direct = client_.descriptor() < 0;
    if (!direct) polled.push_back({client_.descriptor(), POLLIN, 0});
    (void)::poll(polled.data(), static_cast<nfds_t>(polled.size()),
                 direct ? kDirectPollMs : -1);
  }

  // Until somebody continues this process.
  void Suspend() {
    (void)client_.Signal((*launch_)->id, SIGSTOP, /*group=*/true);
    if (terminal_ != nullptr) terminal_->Leave();
    SignalPipe::TakeDefaultAction(SIGTSTP);
    if (terminal_ != nullptr) {
      terminal_->Enter();
      terminal_->Resize();
    }
    (void)client_.Signal((*launch_)->id, SIGCONT, /*group=*/true);
  }

  void Take(int signal) {
    if (signal == SIGCHLD) return;
    if (signal == SIGWINCH || signal == SIGCONT) {
      if (terminal_ == nullptr || !launch_) return;
      // Whoever stopped this process has made the terminal an ordinary one.
      if (signal == SIGCONT) terminal_->Enter();
      terminal_->Resize();
    } else {
      waiting_.push_back(signal);
    }
  }

  // False: nothing has happened since Process, so it is time to wait.
  bool ForwardSignals() {
    const std::vector<int> caught = signals_.Take();
    for (const int signal : caught) Take(signal);
    if (!launch_) {
      if (waiting_.size() < 2) return false;
      std::signal(waiting_.back(), SIG_DFL);
      std::raise(waiting_.back());
    }
    const std::vector<int> signals = std::exchange(waiting_, {});
    for (const int signal : signals) {
      if (signal == SIGTSTP) {
        Suspend();
        continue;
      }
      // It fails only if the worker has just ended, or with the connection.
      (void)client_.Signal((*launch_)->id, signal, /*group=*/true);
    }
    return !caught.empty() || !signals.empty();
  }

  Client& client_;
  SignalPipe signals_;
  TerminalRelay* const terminal_;
  std::optional<Result<Worker>> launch_;
  std::optional<Result<ExitRecord>> record_;
  std::vector<int> waiting_;
};

}  // namespace

int RunAttached(Client& client, TerminalRelay* terminal,
                const std::function<void(LaunchDone)>& start) {
  auto signals = SignalPipe::Open(
      {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCHLD, SIGWINCH, SIGCONT});
  if (!signals) return Fail(signals.error());
  return AttachedWorker(client, *std::move(signals), terminal).Run(start);
}

}  // namespace forkserver::cli
