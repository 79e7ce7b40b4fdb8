// The part of Runner that turns the end of a worker into verdicts.
#include <algorithm>
#include <utility>

#include "sdk/process/platform.h"
#include "tools/harness/run/runner.h"

namespace forkserver::harness {
namespace {

void AppendTo(CapturedText& text, const std::string& more) {
  (text.dropped_bytes == 0 ? text.head : text.tail) += more;
}

}  // namespace

void Runner::Finish(Slot& slot) {
  if (slot.end.record) {
    slot.end.report = targets_[slot.unit.target]->ReadReport(
        slot.tests, slot.files.files(), *slot.end.record);
  }
  const std::vector<Judgement> judgements = Judge(slot.end, slot.tests.size());
  Unit rest;  // tests that another one of this worker kept from beginning
  for (std::size_t i = 0; i < judgements.size(); ++i) {
    if (judgements[i].outcome == Judgement::Outcome::kNotBegun) {
      rest.tests.push_back(slot.unit.tests[i]);
    } else {
      FinishTest(slot, i, judgements[i]);
    }
  }
  schedule_.Release(slot.unit);
  if (!rest.tests.empty() && !stopping_) {
    rest.copy = slot.unit.copy;
    rest.target = slot.unit.target;
    rest.tries = slot.unit.tries;
    schedule_.AddAgain(std::move(rest));
  }
  for (Stream& stream : slot.streams) stream.text = {};
  slot.busy = false;
  slot.serial = 0;
  free_slots_.push_back(static_cast<std::size_t>(slot.number));
}

void Runner::FinishTest(Slot& slot, std::size_t at,
                        const Judgement& judgement) {
  const Unit& unit = slot.unit;
  const std::size_t test = unit.tests[at];
  TellBegun(slot, at);
  Attempt attempt = MakeAttempt(slot, at, judgement);
  Unit again;
  again.tests = {test};
  again.copy = unit.copy;
  again.target = unit.target;
  // What another attempt of one test says of what all of them left is nothing.
  const bool is_shared =
      attempt.verdict == Verdict::kLeak && unit.tests.size() > 1;
  bool try_again = false;
  if (judgement.outcome == Judgement::Outcome::kLost) {
    must_revive_[unit.target] = true;
    if (!unit.alone && !stopping_) {
      try_again = true;
      again.tries = unit.tries;
      again.alone = true;
    } else if (unit.alone &&
               (slot.worker || (slot.end.launch_error &&
                                IsConnectionLoss(*slot.end.launch_error)))) {
      // Nothing else ran, twice: it is its own doing.
      attempt.verdict = Verdict::kCrash;
      attempt.reason += ", each time that this test ran";
    }
  } else if (IsUnsuccessful(attempt.verdict) && !is_shared && !stopping_ &&
             !slot.end.cancelled && unit.tries <= rules_[test].retries) {
    try_again = true;
    again.tries = unit.tries + 1;
    again.alone = unit.alone;
    constexpr int kMostDoublings = 20;
    again.not_before_ns =
        clock_.NowNs() + (rules_[test].retry_delay.count() * 1'000'000
                          << std::min(unit.tries - 1, kMostDoublings));
  }
  reporters_.OnAttemptEnded(test, attempt, !try_again);
  const auto key = std::pair(test, unit.copy);
  const auto before = attempts_.find(key);
  std::vector<Attempt> attempts;
  if (before != attempts_.end()) {
    attempts = std::move(before->second);
    attempts_.erase(before);
  }
  attempts.push_back(std::move(attempt));
  if (try_again) {
    attempts_.emplace(key, std::move(attempts));
    schedule_.AddAgain(std::move(again));
  } else {
    EndTest(test, std::move(attempts));
  }
}

Attempt Runner::MakeAttempt(Slot& slot, std::size_t at,
                            const Judgement& judgement) {
  Attempt attempt;
  attempt.number = AttemptNumber(slot.unit, slot.unit.tests[at]);
  attempt.verdict = judgement.verdict;
  attempt.reason = judgement.reason;
  if (judgement.outcome == Judgement::Outcome::kCancelled) {
    attempt.reason = "the run was interrupted while it ran";
  }
  attempt.slot = slot.number;
  attempt.begun_ns = slot.begun_ns;
  attempt.ended_ns = MonotonicNanoseconds();
  if (at < slot.end.report.tests.size()) {
    FrameworkWord& word = slot.end.report.tests[at];
    attempt.wall_us = word.wall_us;
    attempt.skip_reason = std::move(word.skip_reason);
    attempt.failures = std::move(word.failures);
  }
  if (attempt.verdict == Verdict::kSkip) attempt.reason.clear();
  // Those that were expected, or that the test took back.
  if (attempt.verdict == Verdict::kPass) attempt.failures.clear();
  if (slot.end.record && slot.tests.size() == 1 && attempt.wall_us == 0) {
    attempt.wall_us = slot.end.record->wall_us;
  }
  // Which of several tests wrote something nobody knows: all show all of it.
  attempt.out = slot.streams[0].text.Peek();
  attempt.err = slot.streams[1].text.Peek();
  if (at < slot.end.report.tests.size()) {
    // What the framework kept of them is behind what it did not.
    AppendTo(attempt.out, slot.end.report.tests[at].out);
    AppendTo(attempt.err, slot.end.report.tests[at].err);
  }
  if (attempt.verdict == Verdict::kLeak || at + 1 == slot.tests.size()) {
    attempt.leaked = slot.end.leaked;
  }
  const bool by_its_word =
      attempt.verdict == Verdict::kPass || attempt.verdict == Verdict::kFail ||
      attempt.verdict == Verdict::kSkip || attempt.verdict == Verdict::kLeak;
  if (!by_its_word && slot.end.record) {
    attempt.backtrace = backtraces_.Describe(*slot.end.record);
  }
  attempt.exit = slot.end.record;
  return attempt;
}

void Runner::TellBegun(Slot& slot, std::size_t at) {
  for (; slot.told <= at; ++slot.told) {
    RunningTest running = Describe(slot);
    running.test = slot.unit.tests[slot.told];
    running.attempt = AttemptNumber(slot.unit, running.test);
    reporters_.OnAttemptStarted(running);
  }
}

int Runner::AttemptNumber(const Unit& unit, std::size_t test) const {
  const auto before = attempts_.find({test, unit.copy});
  return before == attempts_.end()
             ? 1
             : static_cast<int>(before->second.size()) + 1;
}

void Runner::EndTest(std::size_t test, std::vector<Attempt> attempts) {
  TestResult result;
  result.test = test;
  result.verdict = JoinVerdicts(attempts);
  result.attempts = std::move(attempts);
  switch (result.verdict) {
    case Verdict::kFlaky:
      ++summary_.flaky;
      [[fallthrough]];
    case Verdict::kPass:
      ++summary_.passed;
      break;
    case Verdict::kFail:
      ++summary_.failed;
      break;
    case Verdict::kSkip:
      ++summary_.skipped;
      break;
    case Verdict::kCrash:
      ++summary_.crashed;
      break;
    case Verdict::kTimeout:
      ++summary_.timed_out;
      break;
    case Verdict::kLeak:
      ++summary_.leaked;
      break;
    case Verdict::kInfrastructure:
      ++summary_.infrastructure;
      break;
  }
  reporters_.OnTestEnded(result);
  if (!IsUnsuccessful(result.verdict)) return;
  ++failures_;
  if (options_.max_fail > 0 && failures_ >= options_.max_fail && !stopping_) {
    StopStarting(options_.stop_reason);
  }
}

}  // namespace forkserver::harness
