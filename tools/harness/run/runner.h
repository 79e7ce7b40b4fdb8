// Runs the tests of a plan: one thread, one loop over the connection to
// forkserverd, the output of the tests, signals, the keyboard and the clock.
//
// Active: Run blocks until every planned test has its verdict or the run was
// ended, also by a signal; see OnSignal.
#pragma once

#include <forkserver/result.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sdk/process/poll_set.h"
#include "tools/forkserver/signal_pipe.h"
#include "tools/harness/model/reporter.h"
#include "tools/harness/plan/run_plan.h"
#include "tools/harness/run/backtrace.h"
#include "tools/harness/run/capture.h"
#include "tools/harness/run/clocks.h"
#include "tools/harness/run/judge.h"
#include "tools/harness/run/orphans.h"
#include "tools/harness/run/run_daemon.h"
#include "tools/harness/run/schedule.h"
#include "tools/harness/run/slot.h"
#include "tools/harness/targets/target.h"
#include "tools/terminal/keyboard.h"

namespace forkserver::harness {

struct RunnerOptions {
  int slots = 1;
  LeakPolicy leaks = LeakPolicy::kFail;
  // Nothing is begun any more after so many failures; 0: whatever happens.
  int max_fail = 0;
  std::string stop_reason = "--max-fail";  // what that was asked for by
  // Results of each test; with `stress_for` as many as there is time for.
  int repeat = 1;
  std::chrono::milliseconds stress_for{0};
  // The streams of the tests: kept, shown as they come, or simply those of
  // this process.
  enum class Output { kCapture, kLive, kInherit };
  Output output = Output::kCapture;
  bool read_keys = true;
  // Whatever has not ended by then is ended; zero: there is no such time. Of
  // this clock, from the beginning of Run.
  std::chrono::milliseconds run_time{0};
  // Of workers whose target leaves it to the runner: complete.
  std::vector<std::string> env;
  std::string folder;  // for the slots; exists
};

class Runner {
 public:
  // All are borrowed, and outlive this object. `signals`: SIGINT, SIGTERM,
  // SIGHUP and SIGUSR1; of the others it catches what it needs.
  Runner(RunnerOptions options, RunDaemon& daemon, cli::SignalPipe& signals,
         const std::vector<std::unique_ptr<Target>>& targets,
         const PlannedRun& planned, Reporter& reporters);
  ~Runner();

  // Errors of the whole: no descriptors are left, say. What tests do is in
  // the summary, whose exit code is set; OnRunEnded has not been called.
  Result<RunSummary> Run();

 private:
  struct Stream {
    std::optional<OutputPipe> pipe;
    BoundedText text;
    bool watched = false;  // by poll_set_
  };
  // One worker, from the request to the verdicts.
  struct Slot {
    Slot(int slot_number, SlotFiles slot_files)
        : number(slot_number), files(std::move(slot_files)) {}
    int number;
    SlotFiles files;
    bool busy = false;
    Unit unit;
    std::vector<const TestCase*> tests;
    std::uint64_t serial = 0;  // of the worker: a late callback is not for it
    std::string attempt_id;    // FORKSERVER_TEST_ATTEMPT
    Stream streams[2];
    std::optional<Worker> worker;
    WorkerEnd end;
    bool ended = false;
    std::int64_t begun_ns = 0;        // monotonic
    std::int64_t begun_clock_ns = 0;  // of the run's clock
    // Tests whose beginning was reported; the last of them is under way.
    std::size_t told = 0;
    // Of several, on the report page.
    std::size_t ended_seen = 0;
    bool reports_progress = false;
    bool slow = false;
    // Of the run's clock; 0: none.
    std::int64_t watch_at_ns = 0;  // its streams
    std::int64_t slow_at_ns = 0;
    std::int64_t stop_at_ns = 0;
    std::int64_t kill_at_ns = 0;
    std::int64_t give_up_at_ns = 0;  // waiting for the ends of its streams
    bool term_sent = false;
  };

  // --- the loop (runner.cc) ---
  Result<void> Begin();
  Result<void> Turn();
  void TellSkipped();
  std::size_t InGroups() const;
  void FillSlots();
  bool CanLaunch(const Unit& unit);
  int TimeoutMs(std::int64_t now_ns) const;
  void OnTime(std::int64_t now_ns);
  bool done() const;
  RunSummary Summarize();
  RunningTest Describe(const Slot& slot) const;
  std::vector<RunningTest> DescribeRunning() const;

  // --- one worker (runner_attempts.cc) ---
  void StartUnit(Slot& slot, Unit unit);
  Result<Launch> PrepareLaunch(Slot& slot);
  void PrepareProcess(Slot& slot, WorkerOptions& worker);
  Result<void> OpenStreams(Slot& slot, WorkerOptions& worker);
  void Send(Slot& slot, const Launch& launch);
  void OnLaunched(Slot& slot, Result<Worker> worker);
  void OnEnded(Slot& slot, Result<ExitRecord> record);
  void WatchStreams(Slot& slot);
  OutputPipe::State DrainStream(Slot& slot, int stream);
  void CloseStream(Slot& slot, int stream);
  // It has ended: its verdicts, if all that it may still say has been heard.
  void Settle(Slot& slot);

  // --- its verdicts (runner_verdicts.cc) ---
  void Finish(Slot& slot);
  void FinishTest(Slot& slot, std::size_t at, const Judgement& judgement);
  Attempt MakeAttempt(Slot& slot, std::size_t at, const Judgement& judgement);
  void TellBegun(Slot& slot, std::size_t at);
  void EndTest(std::size_t test, std::vector<Attempt> attempts);
  int AttemptNumber(const Unit& unit, std::size_t test) const;

  // --- what ends tests and the run (runner_control.cc) ---
  void OnTimeout(Slot& slot);
  void LookAtProgress(Slot& slot);
  void SendStop(Slot& slot);
  void SendKill(Slot& slot);
  void OnSignal(int signal);
  void OnKeys();
  void WatchKeyboard();
  void Interrupt();
  void StopStarting(std::string because);
  void OnRunTimeOver();
  void AwaitLaunches();
  void Suspend();
  void ShowRunning();
  void OnConnectionLost();
  Result<void> ReviveIfNeeded(std::size_t target);

  RunnerOptions options_;
  RunDaemon& daemon_;
  cli::SignalPipe& signals_;
  const std::vector<std::unique_ptr<Target>>& targets_;
  const RunPlan& plan_;
  const std::vector<std::vector<std::size_t>>& groups_;
  const std::vector<Rules>& rules_;
  Reporter& reporters_;

  std::vector<std::size_t> target_of_;  // by test
  RunClock clock_;
  Schedule schedule_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<std::size_t> free_slots_;
  std::optional<PollSet> poll_set_;
  std::vector<PollSet::Event> events_;
  std::optional<Keyboard> keyboard_;
  int watched_keyboard_ = -1;
  std::optional<OrphanSearch> orphans_;
  Backtraces backtraces_;
  UniqueFd null_;

  // Attempts of tests that are tried again, by test and copy.
  std::map<std::pair<std::size_t, int>, std::vector<Attempt>> attempts_;
  std::vector<bool> must_revive_;  // by target: its zygote has died
  bool connection_lost_ = false;
  int watched_client_ = -1;
  std::uint64_t next_serial_ = 1;
  std::int64_t begun_ns_ = 0;
  std::int64_t next_tick_ns_ = 0;
  std::int64_t stress_until_ns_ = 0;
  std::int64_t run_over_at_ns_ = 0;
  int failures_ = 0;
  int copies_ = 0;  // of the tests, that were put into the schedule
  int interrupts_ = 0;
  bool stopping_ = false;
  bool loop_over_ = false;
  RunSummary summary_;
};

// 0, 1, 4, 125 or 130: see `forkserver test --help`.
int ExitCodeOf(const RunSummary& summary);

}  // namespace forkserver::harness
