#include "tools/harness/run/runner.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

#include "sdk/process/platform.h"
#include "tools/harness/run/tokens.h"

namespace forkserver::harness {
namespace {

constexpr std::int64_t kTickNs = 200'000'000;

std::vector<Needs> NeedsOf(const std::vector<Rules>& rules) {
  std::vector<Needs> needs;
  needs.reserve(rules.size());
  for (const Rules& each : rules) needs.push_back(each.needs);
  return needs;
}

}  // namespace

Runner::Runner(RunnerOptions options, RunDaemon& daemon,
               cli::SignalPipe& signals,
               const std::vector<std::unique_ptr<Target>>& targets,
               const PlannedRun& planned, Reporter& reporters)
    : options_(std::move(options)),
      daemon_(daemon),
      signals_(signals),
      targets_(targets),
      plan_(planned.plan),
      groups_(planned.groups),
      rules_(planned.rules),
      reporters_(reporters),
      schedule_(options_.slots, NeedsOf(rules_)) {
  std::map<std::string, std::size_t> by_label;
  for (std::size_t i = 0; i < targets_.size(); ++i) {
    by_label[targets_[i]->label()] = i;
  }
  for (const TestCase& test : plan_.tests) {
    target_of_.push_back(by_label.at(test.target));
  }
  must_revive_.resize(targets_.size());
}

Runner::~Runner() = default;

Result<RunSummary> Runner::Run() {
  if (auto begun = Begin(); !begun) return begun.error();
  while (!done()) {
    if (auto turned = Turn(); !turned) return turned.error();
  }
  return Summarize();
}

Result<void> Runner::Begin() {
  Result<PollSet> poll_set = PollSet::Create();
  if (!poll_set) return poll_set.error();
  poll_set_.emplace(*std::move(poll_set));
  null_ = UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null_) return SystemError("open(/dev/null)", errno);
  signals_.Catch(SIGTSTP);
  if (auto added = poll_set_->Add(signals_.descriptor(), kSignalsToken);
      !added) {
    return added;
  }
  watched_client_ = daemon_.client().descriptor();
  if (auto added = poll_set_->Add(watched_client_, kClientToken); !added) {
    return added;
  }
  if (options_.read_keys) keyboard_.emplace(STDIN_FILENO);
  WatchKeyboard();
  if (options_.leaks != LeakPolicy::kOff) orphans_.emplace(daemon_.pid());

  for (int i = 0; i < options_.slots; ++i) {
    slots_.push_back(
        std::make_unique<Slot>(i, SlotFiles(options_.folder, plan_.run_id, i)));
    free_slots_.push_back(static_cast<std::size_t>(options_.slots - 1 - i));
  }
  begun_ns_ = MonotonicNanoseconds();
  next_tick_ns_ = clock_.NowNs() + kTickNs;
  if (options_.run_time.count() > 0) {
    run_over_at_ns_ = clock_.NowNs() + options_.run_time.count() * 1'000'000;
  }
  if (options_.stress_for.count() > 0 && !groups_.empty()) {
    stress_until_ns_ = clock_.NowNs() + options_.stress_for.count() * 1'000'000;
  } else {
    summary_.planned =
        plan_.tests.size() * static_cast<std::size_t>(options_.repeat);
    TellSkipped();
    if (groups_.empty()) copies_ = options_.repeat;
  }
  return {};
}

// What its framework would not run is not run here either.
void Runner::TellSkipped() {
  for (std::size_t i = 0; i < plan_.tests.size(); ++i) {
    const std::string& why = plan_.tests[i].listed.skip;
    if (why.empty()) continue;
    for (int copy = 0; copy < options_.repeat; ++copy) {
      Attempt attempt;
      attempt.verdict = Verdict::kSkip;
      attempt.skip_reason = why;
      attempt.begun_ns = attempt.ended_ns = MonotonicNanoseconds();
      EndTest(i, {std::move(attempt)});
    }
  }
}

bool Runner::done() const {
  if (loop_over_) return true;
  if (schedule_.running() > 0 || !schedule_.empty()) return false;
  if (stopping_) return true;
  if (stress_until_ns_ > 0) return clock_.NowNs() >= stress_until_ns_;
  return copies_ >= options_.repeat;
}

std::size_t Runner::InGroups() const {
  std::size_t tests = 0;
  for (const auto& group : groups_) tests += group.size();
  return tests;
}

// Copies of the tests are made as they are needed: of many a run needs no
// more memory than of one.
void Runner::FillSlots() {
  while (!free_slots_.empty() && !stopping_) {
    std::optional<Unit> unit = schedule_.Take(
        clock_.NowNs(), [this](const Unit& each) { return CanLaunch(each); });
    if (!unit) {
      const bool another = stress_until_ns_ > 0
                               ? clock_.NowNs() < stress_until_ns_
                               : copies_ < options_.repeat;
      if (!another || schedule_.has_ready()) return;
      for (const auto& group : groups_) {
        Unit copy;
        copy.tests = group;
        copy.copy = copies_;
        copy.target = target_of_[group.front()];
        schedule_.Add(std::move(copy));
      }
      if (stress_until_ns_ > 0) summary_.planned += InGroups();
      ++copies_;
      continue;
    }
    Slot& slot = *slots_[free_slots_.back()];
    free_slots_.pop_back();
    StartUnit(slot, *std::move(unit));
  }
}

bool Runner::CanLaunch(const Unit& unit) {
  // Who is to be made anew is not asked what it can do.
  if (must_revive_[unit.target]) return true;
  std::vector<const TestCase*> tests;
  for (const std::size_t test : unit.tests) {
    tests.push_back(&plan_.tests[test]);
  }
  return targets_[unit.target]->CanLaunch(daemon_.client(), tests);
}

int Runner::TimeoutMs(std::int64_t now_ns) const {
  NextTime next;
  if (const auto time_ns = schedule_.NextTimeNs();
      time_ns && !free_slots_.empty()) {
    next.Consider(*time_ns);
  }
  if (schedule_.running() > 0) next.Consider(next_tick_ns_);
  if (stress_until_ns_ > 0) next.Consider(stress_until_ns_);
  if (run_over_at_ns_ > 0) next.Consider(run_over_at_ns_);
  for (const auto& slot : slots_) {
    if (!slot->busy) continue;
    // Its launch failed before there was anything to wait for.
    if (slot->ended && slot->give_up_at_ns == 0) return 0;
    for (const std::int64_t time_ns :
         {slot->watch_at_ns, slot->slow_at_ns, slot->stop_at_ns,
          slot->kill_at_ns, slot->give_up_at_ns}) {
      if (time_ns != 0) next.Consider(time_ns);
    }
  }
  return next.TimeoutMs(now_ns);
}

Result<void> Runner::Turn() {
  FillSlots();
  if (done()) return {};
  if (auto waited = poll_set_->Wait(TimeoutMs(clock_.NowNs()), events_);
      !waited) {
    return waited;
  }
  for (const PollSet::Event& event : events_) {
    if (event.token == kClientToken) {
      // A loss has been told to the callbacks of everything that is under way.
      if (!daemon_.client().Process()) connection_lost_ = true;
    } else if (event.token == kSignalsToken) {
      for (const int signal : signals_.Take()) OnSignal(signal);
    } else if (event.token == kKeysToken) {
      OnKeys();
    } else {
      Slot& slot = *slots_[SlotOf(event.token)];
      if (!slot.busy || slot.ended) continue;
      DrainStream(slot, StreamOf(event.token));
    }
  }
  if (connection_lost_) OnConnectionLost();
  for (const auto& slot : slots_) {
    if (slot->busy && slot->ended) Settle(*slot);
  }
  OnTime(clock_.NowNs());
  return {};
}

void Runner::OnTime(std::int64_t now_ns) {
  const auto due = [&](std::int64_t& time_ns) {
    if (time_ns == 0 || now_ns < time_ns) return false;
    time_ns = 0;
    return true;
  };
  if (due(run_over_at_ns_)) OnRunTimeOver();
  for (const auto& each : slots_) {
    Slot& slot = *each;
    if (!slot.busy || slot.ended) continue;
    if (due(slot.watch_at_ns)) WatchStreams(slot);
    if (!slot.worker) continue;
    if (due(slot.slow_at_ns)) {
      slot.slow = true;
      reporters_.OnAttemptSlow(Describe(slot));
    }
    if (due(slot.stop_at_ns)) OnTimeout(slot);
    const bool stop = slot.end.cancelled || !slot.end.timed_out_after.empty();
    if (stop && !slot.term_sent) SendStop(slot);
    if (due(slot.kill_at_ns)) SendKill(slot);
  }
  if (stress_until_ns_ > 0 && now_ns >= stress_until_ns_) {
    summary_.planned -= schedule_.DropNew();
  }
  if (now_ns >= next_tick_ns_) {
    next_tick_ns_ = now_ns + kTickNs;
    if (keyboard_) keyboard_->Refresh();
    WatchKeyboard();
    for (const auto& slot : slots_) {
      if (!slot->busy || slot->ended) continue;
      if (slot->tests.size() > 1) LookAtProgress(*slot);
      for (int stream = 0; stream < 2; ++stream) {
        const Stream& source = slot->streams[stream];
        if (source.pipe && !source.watched) DrainStream(*slot, stream);
      }
    }
    if (schedule_.running() > 0) {
      reporters_.OnTick(MonotonicNanoseconds(), DescribeRunning());
    }
  }
}

RunningTest Runner::Describe(const Slot& slot) const {
  RunningTest running;
  const std::size_t at = slot.told > 0 ? slot.told - 1 : 0;
  running.test = slot.unit.tests[at];
  running.attempt = AttemptNumber(slot.unit, running.test);
  running.slot = slot.number;
  running.begun_ns = slot.begun_ns;
  running.elapsed_us = (clock_.NowNs() - slot.begun_clock_ns) / 1000;
  running.slow = slot.slow;
  return running;
}

std::vector<RunningTest> Runner::DescribeRunning() const {
  std::vector<RunningTest> running;
  for (const auto& slot : slots_) {
    if (slot->busy) running.push_back(Describe(*slot));
  }
  return running;
}

RunSummary Runner::Summarize() {
  const std::size_t verdicts =
      summary_.passed + summary_.failed + summary_.skipped + summary_.crashed +
      summary_.timed_out + summary_.leaked + summary_.infrastructure;
  summary_.not_run =
      summary_.planned > verdicts ? summary_.planned - verdicts : 0;
  summary_.wall_us = (MonotonicNanoseconds() - begun_ns_) / 1000;
  summary_.exit_code = ExitCodeOf(summary_);
  return summary_;
}

int ExitCodeOf(const RunSummary& summary) {
  if (summary.interrupted) return 130;
  if (summary.failed + summary.crashed + summary.timed_out + summary.leaked >
      0) {
    return 1;
  }
  if (summary.infrastructure + summary.not_run > 0 || !summary.errors.empty()) {
    return 125;
  }
  return summary.planned == 0 ? 4 : 0;
}

}  // namespace forkserver::harness
