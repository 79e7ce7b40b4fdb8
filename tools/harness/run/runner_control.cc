// The part of Runner that stops: tests, the run, the process itself.
#include <poll.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "sdk/process/platform.h"
#include "tools/forkserver/values.h"
#include "tools/harness/run/runner.h"
#include "tools/harness/run/tokens.h"

namespace forkserver::harness {
namespace {

// A suspended run waits no longer for the workers that are being launched.
constexpr std::int64_t kLaunchesNs = 1'000'000'000;

}  // namespace

// Of several tests in one worker, as far as their framework tells it while
// they run: a framework that reports at its end says nothing.
void Runner::LookAtProgress(Slot& slot) {
  const auto progress = slot.files.files().page->Read();
  if (!progress) return;
  std::size_t begun = 0;
  std::size_t ended = 0;
  for (const protocol::TestProgress& each : *progress) {
    if (each.event == "begun") ++begun;
    if (each.event == "ended") ++ended;
  }
  slot.reports_progress = begun > 0;
  slot.ended_seen = std::min(ended, slot.tests.size() - 1);
  if (begun > 0) TellBegun(slot, std::min(begun, slot.tests.size()) - 1);
}

void Runner::OnTimeout(Slot& slot) {
  const auto timeout_of = [&](std::size_t at) {
    return rules_[slot.unit.tests[at]].timeout;
  };
  if (slot.tests.size() > 1) {
    const std::size_t seen = slot.ended_seen;
    LookAtProgress(slot);
    if (slot.ended_seen > seen) {
      // The clock of the test that runs now: since it was last looked at.
      slot.stop_at_ns =
          clock_.NowNs() + timeout_of(slot.ended_seen).count() * 1'000'000;
      return;
    }
    std::chrono::milliseconds all{0};
    for (std::size_t i = 0; i < slot.tests.size(); ++i) all += timeout_of(i);
    const std::int64_t last_ns = slot.begun_clock_ns + all.count() * 1'000'000;
    if (!slot.reports_progress && clock_.NowNs() < last_ns) {
      slot.stop_at_ns = last_ns;
      return;
    }
  }
  slot.end.timed_out_after = cli::FormatDuration(timeout_of(slot.ended_seen));
}

void Runner::SendStop(Slot& slot) {
  slot.term_sent = true;
  slot.stop_at_ns = 0;
  const std::int64_t grace_ns =
      rules_[slot.unit.tests.front()].grace.count() * 1'000'000;
  if (grace_ns == 0) return SendKill(slot);
  slot.kill_at_ns = clock_.NowNs() + grace_ns;
  // It fails only if the worker has just ended, or with the connection.
  (void)daemon_.client().Signal(slot.worker->id, SIGTERM, /*group=*/true);
  // One that has stopped itself takes no other signal.
  (void)daemon_.client().Signal(slot.worker->id, SIGCONT, /*group=*/true);
}

void Runner::SendKill(Slot& slot) {
  slot.term_sent = true;
  slot.kill_at_ns = 0;
  (void)daemon_.client().Signal(slot.worker->id, SIGKILL, /*group=*/true);
}

void Runner::OnSignal(int signal) {
  switch (signal) {
    case SIGUSR1:
      return ShowRunning();
    case SIGTSTP:
      return Suspend();
    default:
      return Interrupt();
  }
}

void Runner::OnKeys() {
  const bool asked = keyboard_->Take().find('t') != std::string::npos;
  WatchKeyboard();
  if (asked) ShowRunning();
}

// It comes and goes with the foreground of the terminal.
void Runner::WatchKeyboard() {
  const int descriptor = keyboard_ ? keyboard_->descriptor() : -1;
  if (descriptor == watched_keyboard_) return;
  if (watched_keyboard_ >= 0) poll_set_->Remove(watched_keyboard_);
  watched_keyboard_ = descriptor;
  if (descriptor >= 0) (void)poll_set_->Add(descriptor, kKeysToken);
}

void Runner::Interrupt() {
  ++interrupts_;
  summary_.interrupted = true;
  StopStarting("interrupted");
  for (const auto& slot : slots_) {
    if (!slot->busy) continue;
    slot->end.cancelled = true;
    // The second time: at once. What does not end by that is left to the
    // daemon.
    if (interrupts_ > 1 && slot->worker && !slot->ended) SendKill(*slot);
  }
  if (interrupts_ > 2) loop_over_ = true;
}

void Runner::StopStarting(std::string because) {
  if (summary_.stopped_because.empty()) {
    summary_.stopped_because = std::move(because);
  }
  if (stopping_) return;
  stopping_ = true;
  schedule_.DropAll();
  // Those that were to be tried again have failed.
  auto waiting = std::move(attempts_);
  attempts_.clear();
  for (const auto& slot : slots_) {
    if (!slot->busy) continue;
    for (const std::size_t test : slot->unit.tests) {
      auto node = waiting.extract({test, slot->unit.copy});
      if (node) attempts_.insert(std::move(node));
    }
  }
  for (auto& [test, attempts] : waiting) {
    EndTest(test.first, std::move(attempts));
  }
}

// They are killed at once: whoever gave the time waits no longer.
void Runner::OnRunTimeOver() {
  StopStarting("the time of the run is over");
  for (const auto& slot : slots_) {
    if (!slot->busy) continue;
    slot->end.timed_out_after = "the time of the run, " +
                                cli::FormatDuration(options_.run_time) +
                                " in all";
    if (slot->worker && !slot->ended) SendKill(*slot);
  }
}

// What is being launched has no id yet by which it could be stopped.
void Runner::AwaitLaunches() {
  const auto launching = [](const auto& slot) {
    return slot->busy && !slot->worker && !slot->ended;
  };
  NextTime until;
  until.Consider(MonotonicNanoseconds() + kLaunchesNs);
  while (!connection_lost_ &&
         std::any_of(slots_.begin(), slots_.end(), launching)) {
    const int timeout_ms = until.TimeoutMs(MonotonicNanoseconds());
    if (timeout_ms == 0) return;
    pollfd client{watched_client_, POLLIN, 0};
    if (::poll(&client, 1, timeout_ms) > 0 && !daemon_.client().Process()) {
      connection_lost_ = true;
    }
  }
}

void Runner::Suspend() {
  AwaitLaunches();
  reporters_.OnSuspend();
  if (keyboard_) keyboard_->Suspend();
  WatchKeyboard();
  const auto signal_all = [&](int signal) {
    for (const auto& slot : slots_) {
      if (slot->busy && slot->worker && !slot->ended) {
        (void)daemon_.client().Signal(slot->worker->id, signal, /*group=*/true);
      }
    }
  };
  signal_all(SIGSTOP);
  clock_.Stop();
  ::raise(SIGSTOP);
  clock_.GoOn();
  signal_all(SIGCONT);
  if (keyboard_) keyboard_->Resume();
  WatchKeyboard();
  reporters_.OnResume();
}

void Runner::ShowRunning() {
  std::vector<RunningTest> running;
  for (const auto& slot : slots_) {
    if (!slot->busy) continue;
    for (int stream = 0; stream < 2; ++stream) DrainStream(*slot, stream);
    running.push_back(Describe(*slot));
    running.back().out = slot->streams[0].text.Peek();
    running.back().err = slot->streams[1].text.Peek();
  }
  reporters_.OnShowRunning(running);
}

void Runner::OnConnectionLost() {
  connection_lost_ = false;
  poll_set_->Remove(watched_client_);
  const Error lost = MakeError(error_code::kConnectionLost,
                               "the connection to forkserverd was lost");
  for (const auto& slot : slots_) {
    if (!slot->busy || slot->ended) continue;
    slot->end.launch_error = lost;
    slot->ended = true;
  }
  // Workers are gone with the daemon, or about to be.
  for (const auto& slot : slots_) {
    if (slot->busy && !slot->end.record) {
      for (int stream = 0; stream < 2; ++stream) {
        DrainStream(*slot, stream);
        CloseStream(*slot, stream);
      }
    }
  }
  if (stopping_) return;
  Result<void> connected = daemon_.Reconnect();
  if (!connected) {
    summary_.errors.push_back(connected.error().ToString());
    StopStarting("forkserverd is gone");
    return;
  }
  reporters_.OnWarning(
      "forkserverd is gone; the tests that ran are run again with a new one");
  if (orphans_) orphans_.emplace(daemon_.pid());
  must_revive_.assign(targets_.size(), true);
  watched_client_ = daemon_.client().descriptor();
  (void)poll_set_->Add(watched_client_, kClientToken);
}

Result<void> Runner::ReviveIfNeeded(std::size_t target) {
  if (!must_revive_[target]) return {};
  Result<void> revived = targets_[target]->Revive(daemon_.client());
  if (revived) must_revive_[target] = false;
  return revived;
}

}  // namespace forkserver::harness
