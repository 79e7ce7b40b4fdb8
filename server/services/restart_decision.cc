#include "server/services/restart_decision.h"

#include <algorithm>

namespace forkserver::server {
namespace {

bool IsSuccess(const ServicePolicy& policy, const EndedRun& run) {
  if (!run.failure.empty() || run.record == nullptr) return false;
  if (run.record->reason != EndReason::kExited || !run.record->code) {
    return false;
  }
  const std::int64_t code = *run.record->code;
  return code == 0 || std::count(policy.success_exit_codes.begin(),
                                 policy.success_exit_codes.end(), code) > 0;
}

}  // namespace

bool IsShort(const ServicePolicy& policy, std::int64_t lasted_ms) {
  return lasted_ms < policy.reset_after_ms;
}

std::string DescribeEnd(const ExitRecord& record) {
  std::string how;
  if (record.code) {
    how = "exit code " + std::to_string(*record.code);
  } else if (record.signal) {
    how = "signal " + std::to_string(*record.signal);
    if (record.core) how += " (core dumped)";
  }
  if (record.oom_kills > 0) how += " (out of memory)";
  if (record.reason == EndReason::kExited ||
      record.reason == EndReason::kSignaled) {
    return how;
  }
  return std::string(NameOf(record.reason)) + (how.empty() ? how : ", " + how);
}

RestartDecision DecideRestart(const ServicePolicy& policy,
                              const EndedRun& run) {
  const bool success = IsSuccess(policy, run);
  const bool wanted = policy.restart == RestartPolicy::kAlways ||
                      (policy.restart == RestartPolicy::kOnFailure && !success);
  std::string what = run.failure;
  if (what.empty() && run.record != nullptr) what = DescribeEnd(*run.record);
  if (!wanted) {
    if (success) return {ServiceEvent::kEndedWell, ""};
    return {ServiceEvent::kEndedBadly, what};
  }
  if (policy.start_limit > 0 && run.short_runs >= policy.start_limit) {
    return {ServiceEvent::kEndedBadly,
            "crash loop: " + std::to_string(run.short_runs) +
                " runs in a row lasted less than " +
                std::to_string(policy.reset_after_ms) +
                " ms; the last one: " + what};
  }
  return {ServiceEvent::kEndedToRestart, what};
}

std::int64_t BackoffMs(const ServicePolicy& policy, std::int64_t short_runs,
                       std::uint32_t random) {
  std::int64_t delay_ms =
      std::min(policy.backoff_initial_ms, policy.backoff_max_ms);
  for (std::int64_t i = 1; i < short_runs; ++i) {
    if (policy.backoff_factor <= 1 || delay_ms == 0) break;
    delay_ms =
        std::min(delay_ms * policy.backoff_factor, policy.backoff_max_ms);
    if (delay_ms == policy.backoff_max_ms) break;
  }
  const std::int64_t spread_ms = delay_ms * policy.backoff_jitter_percent / 100;
  if (spread_ms == 0) return delay_ms;
  return delay_ms - spread_ms +
         static_cast<std::int64_t>(random) % (2 * spread_ms + 1);
}

}  // namespace forkserver::server
