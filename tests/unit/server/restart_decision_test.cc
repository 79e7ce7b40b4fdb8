#include "server/services/restart_decision.h"

#include <doctest/doctest.h>

#include <string>

namespace forkserver::server {
namespace {

ExitRecord Exited(std::int64_t code) {
  ExitRecord record;
  record.reason = EndReason::kExited;
  record.code = code;
  return record;
}

ServiceEvent Decide(RestartPolicy restart, const ExitRecord& record,
                    std::int64_t short_runs = 1) {
  ServicePolicy policy;
  policy.restart = restart;
  EndedRun run;
  run.record = &record;
  run.short_runs = short_runs;
  return DecideRestart(policy, run).event;
}

TEST_CASE("who restarts when") {
  const ExitRecord good = Exited(0);
  const ExitRecord bad = Exited(3);
  using enum RestartPolicy;
  using enum ServiceEvent;
  CHECK(Decide(kNo, good) == kEndedWell);
  CHECK(Decide(kNo, bad) == kEndedBadly);
  CHECK(Decide(kOnFailure, good) == kEndedWell);
  CHECK(Decide(kOnFailure, bad) == kEndedToRestart);
  CHECK(Decide(kAlways, good) == kEndedToRestart);
  CHECK(Decide(kAlways, bad) == kEndedToRestart);
}

TEST_CASE("exit codes that are told to be no failure are none") {
  ServicePolicy policy;
  policy.success_exit_codes = {3, 143};
  const ExitRecord record = Exited(3);
  EndedRun run;
  run.record = &record;
  CHECK(DecideRestart(policy, run).event == ServiceEvent::kEndedWell);
  // Not where the daemon knows better.
  run.failure = "it was not ready within 30 ms";
  const RestartDecision decision = DecideRestart(policy, run);
  CHECK(decision.event == ServiceEvent::kEndedToRestart);
  CHECK(decision.why == run.failure);
}

TEST_CASE("a signal, a timeout and a run that could not be launched fail") {
  ExitRecord killed;
  killed.reason = EndReason::kSignaled;
  killed.signal = 9;
  CHECK(Decide(RestartPolicy::kOnFailure, killed) ==
        ServiceEvent::kEndedToRestart);
  ExitRecord late = Exited(0);
  late.reason = EndReason::kTimeout;
  CHECK(Decide(RestartPolicy::kNo, late) == ServiceEvent::kEndedBadly);
  EndedRun unlaunched;
  unlaunched.failure = "execve(x): No such file or directory";
  CHECK(DecideRestart(ServicePolicy(), unlaunched).event ==
        ServiceEvent::kEndedToRestart);
}

TEST_CASE("short runs in a row are a crash loop, and say what the last was") {
  ServicePolicy policy;
  policy.start_limit = 3;
  const ExitRecord record = Exited(7);
  EndedRun run;
  run.record = &record;
  run.short_runs = 2;
  CHECK(DecideRestart(policy, run).event == ServiceEvent::kEndedToRestart);
  run.short_runs = 3;
  const RestartDecision decision = DecideRestart(policy, run);
  CHECK(decision.event == ServiceEvent::kEndedBadly);
  CHECK(decision.why.find("crash loop: 3 runs") != std::string::npos);
  CHECK(decision.why.find("exit code 7") != std::string::npos);
  policy.start_limit = 0;
  run.short_runs = 1'000'000;
  CHECK(DecideRestart(policy, run).event == ServiceEvent::kEndedToRestart);
}

TEST_CASE("the backoff grows by its factor, up to its most") {
  ServicePolicy policy;
  policy.backoff_initial_ms = 100;
  policy.backoff_factor = 3;
  policy.backoff_max_ms = 2000;
  policy.backoff_jitter_percent = 0;
  CHECK(BackoffMs(policy, 1, 5) == 100);
  CHECK(BackoffMs(policy, 2, 5) == 300);
  CHECK(BackoffMs(policy, 3, 5) == 900);
  CHECK(BackoffMs(policy, 4, 5) == 2000);
  CHECK(BackoffMs(policy, 1'000'000'000, 5) == 2000);
  policy.backoff_initial_ms = 5000;
  CHECK(BackoffMs(policy, 1, 5) == 2000);
  policy.backoff_initial_ms = 0;
  CHECK(BackoffMs(policy, 9, 5) == 0);
}

TEST_CASE("the greatest numbers do not overflow") {
  ServicePolicy policy;
  policy.backoff_initial_ms = 300'000'000'000;
  policy.backoff_max_ms = 315'360'000'000;
  policy.backoff_factor = 1000;
  policy.backoff_jitter_percent = 100;
  for (const std::uint32_t random : {0u, 1u, ~0u}) {
    const std::int64_t delay_ms = BackoffMs(policy, 50, random);
    CHECK(delay_ms >= 0);
    CHECK(delay_ms <= 2 * policy.backoff_max_ms);
  }
}

TEST_CASE("jitter stays within its percent, and is not always the same") {
  ServicePolicy policy;
  policy.backoff_initial_ms = 1000;
  policy.backoff_jitter_percent = 10;
  std::int64_t least = 2000;
  std::int64_t most = 0;
  for (std::uint32_t random = 0; random < 1000; ++random) {
    const std::int64_t delay_ms = BackoffMs(policy, 1, random);
    least = std::min(least, delay_ms);
    most = std::max(most, delay_ms);
  }
  CHECK(least == 900);
  CHECK(most == 1100);
}

}  // namespace
}  // namespace forkserver::server
