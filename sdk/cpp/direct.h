// DirectWorkers: exec workers launched by this process itself, without a
// daemon (FORKSERVER_DISABLE=1).
//
// Starts no thread and installs no signal handler. So time passes only inside
// its calls: a worker's timeout is noticed in the next Wait, Stop or Process.
// A caller that ignores SIGCHLD or reaps children that it did not make takes
// the exit statuses away: such a worker's record says `lost`.
#pragma once

#include <forkserver/client.h>
#include <forkserver/result.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/cpp/deadline.h"

namespace forkserver {

// Each function is the one of Client of the same name. Not thread-safe.
class DirectWorkers {
 public:
  DirectWorkers();
  // Stops the workers that are not detached, TERM first: blocks for the
  // longest of their grace periods at most. Does nothing in a forked child.
  ~DirectWorkers();
  DirectWorkers(const DirectWorkers&) = delete;
  DirectWorkers& operator=(const DirectWorkers&) = delete;

  Result<Worker> Spawn(const SpawnOptions& options);
  Result<ExitRecord> Wait(const std::string& worker_id,
                          std::optional<std::chrono::milliseconds> timeout);
  Result<void> Signal(const std::string& worker_id, int signal, bool group);
  Result<ExitRecord> Stop(const std::string& worker_id,
                          std::optional<std::chrono::milliseconds> grace);
  void OnExit(const std::string& worker_id,
              std::function<void(Result<ExitRecord>)> done);
  void Process();
  // A callback of the user runs.
  bool in_callback() const { return in_callback_; }

 private:
  struct DirectWorker {
    Worker info;
    UniqueFd process;  // pidfd, or invalid
    Journey journey;
    int stop_signal = 0;
    std::chrono::milliseconds grace{0};
    Deadline timeout;  // of its wall clock
    Deadline kill;     // once it was asked to stop
    std::optional<EndReason> stop_reason;
    bool killed = false;
    std::optional<ExitRecord> record;
    std::vector<std::function<void(Result<ExitRecord>)>> on_exit;
  };
  using Workers = std::map<std::string, DirectWorker>;

  Result<Workers::iterator> Find(const std::string& worker_id);
  ExitRecord HandOut(Workers::iterator worker);
  // Its stop signal to its group, if it was not asked before.
  static void BeginStop(DirectWorker& worker, EndReason reason,
                        std::chrono::milliseconds grace);
  // Carries out what is due and reaps what has ended; returns when something
  // is due next.
  Deadline Service();
  static Deadline ServiceOne(DirectWorker& worker);
  static void Reap(DirectWorker& worker);
  void RunCallbacks();

  Workers workers_;
  std::int64_t launched_ = 0;
  std::int64_t owner_pid_;
  bool in_callback_ = false;
};

}  // namespace forkserver
