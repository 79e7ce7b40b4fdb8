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
  AttachedWorker(Client& client, SignalPipe signals)
      : client_(client), signals_(std::move(signals)) {}

  int Run(const std::function<void(LaunchDone)>& start) {
    start([this](Result<Worker> worker) {
      launch_ = std::move(worker);
      if (!*launch_) return;
      client_.OnExit((*launch_)->id, [this](Result<ExitRecord> record) {
        record_ = std::move(record);
      });
    });
    while (true) {
      Result<void> processed = client_.Process();
      if (launch_ && !*launch_) return ReportLaunchFailure(launch_->error());
      if (record_ && !*record_) return Fail(record_->error());
      if (record_) return ReportEnd(**record_);
      if (!processed) return Fail(processed.error());
      // Forwarding may have read more than its reply.
      if (!ForwardSignals()) Wait();
    }
  }

 private:
  void Wait() {
    pollfd polled[2] = {{signals_.descriptor(), POLLIN, 0},
                        {client_.descriptor(), POLLIN, 0}};
    const bool direct = client_.descriptor() < 0;
    (void)::poll(polled, 2, direct ? kDirectPollMs : -1);
  }

  // False: nothing has happened since Process, so it is time to wait.
  bool ForwardSignals() {
    const std::vector<int> caught = signals_.Take();
    for (const int signal : caught) {
      if (signal != SIGCHLD) waiting_.push_back(signal);
    }
    if (!launch_) {
      if (waiting_.size() < 2) return false;
      std::signal(waiting_.back(), SIG_DFL);
      std::raise(waiting_.back());
    }
    const std::vector<int> signals = std::exchange(waiting_, {});
    for (const int signal : signals) {
      // It fails only if the worker has just ended, or with the connection.
      (void)client_.Signal((*launch_)->id, signal, /*group=*/true);
    }
    return !caught.empty() || !signals.empty();
  }

  Client& client_;
  SignalPipe signals_;
  std::optional<Result<Worker>> launch_;
  std::optional<Result<ExitRecord>> record_;
  std::vector<int> waiting_;
};

}  // namespace

int RunAttached(Client& client, const std::function<void(LaunchDone)>& start) {
  auto signals = SignalPipe::Open({SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD});
  if (!signals) return Fail(signals.error());
  return AttachedWorker(client, *std::move(signals)).Run(start);
}

}  // namespace forkserver::cli
