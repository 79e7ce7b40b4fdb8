#include "tools/harness/run/judge.h"

#include <algorithm>
#include <csignal>
#include <cstdio>

#include "tools/forkserver/values.h"

namespace forkserver::harness {
namespace {

using Outcome = Judgement::Outcome;

Judgement Say(Verdict verdict, std::string reason = {}) {
  return {Outcome::kVerdict, verdict, std::move(reason)};
}

std::string FirstLine(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find('\n', begin) - begin);
}

// Nobody but the daemon, or what took the daemon away, ended it.
bool WasLost(const ExitRecord& record) {
  switch (record.reason) {
    case EndReason::kZygoteDied:
    case EndReason::kClientGone:
    case EndReason::kDaemonStopping:
    case EndReason::kLost:
      return true;
    default:
      return false;
  }
}

std::string DescribeLoss(const ExitRecord& record) {
  switch (record.reason) {
    case EndReason::kZygoteDied:
      return "its zygote died";
    case EndReason::kClientGone:
    case EndReason::kDaemonStopping:
      return "forkserverd stopped";
    default:
      return "nobody could observe how it ended";
  }
}

std::string ExitedEarly(const ExitRecord& record) {
  return "exited early with code " + std::to_string(record.code.value_or(0));
}

// The framework has spoken and the process ended by an exit of its own.
Judgement JudgeWord(const WorkerEnd& end, const FrameworkWord& word,
                    bool is_last, bool any_failed) {
  const ExitRecord& record = *end.record;
  const std::int64_t code = *record.code;
  if (word.status == "failed") {
    const std::string reason =
        word.failures.empty() ? "" : FirstLine(word.failures.front().message);
    return Say(Verdict::kFail, reason.empty() ? DescribeEnd(record) : reason);
  }
  if (is_last && !end.report.complete) {
    return Say(
        Verdict::kCrash,
        ExitedEarly(record) + " after the test itself had " + word.status);
  }
  if (code != 0 && !any_failed && !end.report.by_exit_code) {
    return Say(Verdict::kCrash, "exited with code " + std::to_string(code) +
                                    " although the test had " + word.status);
  }
  if (word.status == "skipped") return Say(Verdict::kSkip, word.skip_reason);
  if (word.status != "passed") {
    return Say(Verdict::kInfrastructure,
               "its framework said '" + word.status + "'");
  }
  return Say(Verdict::kPass);
}

// Of several tests in a worker nobody knows whose it is: the last one that
// passed is named.
void JudgeLeak(const WorkerEnd& end, std::vector<Judgement>& judgements) {
  if (end.leaked.empty() || end.leaks != LeakPolicy::kFail) return;
  for (auto each = judgements.rbegin(); each != judgements.rend(); ++each) {
    if (each->verdict != Verdict::kPass) continue;
    *each = Say(Verdict::kLeak,
                (judgements.size() == 1
                     ? "left behind: "
                     : "left behind, by it or another test of its worker: ") +
                    end.leaked.front());
    return;
  }
}

// The test that was under way, or about to begin, when the process ended.
Judgement JudgeUnfinished(const WorkerEnd& end, const FrameworkWord& word) {
  const ExitRecord& record = *end.record;
  if (!record.code) return Say(Verdict::kCrash, DescribeEnd(record));
  if (!end.report.damage.empty()) {
    return Say(Verdict::kCrash, ExitedEarly(record) + "; what it reported " +
                                    "cannot be read: " + end.report.damage);
  }
  if (end.report.complete && !word.begun) {
    return Say(Verdict::kInfrastructure,
               "its framework returned and did not run it");
  }
  return Say(Verdict::kCrash, ExitedEarly(record));
}

// What a signal, a timeout or a lost parent makes of the test that it met.
Judgement JudgeMet(const WorkerEnd& end, const FrameworkWord& word) {
  if (!end.timed_out_after.empty()) {
    return Say(
        Verdict::kTimeout,
        "exceeded " + end.timed_out_after +
            (word.ended ? ", after the test itself had " + word.status : ""));
  }
  if (end.cancelled) return {Outcome::kCancelled, Verdict::kInfrastructure, ""};
  const ExitRecord& record = *end.record;
  if (record.reason == EndReason::kStopped) {
    return Say(Verdict::kInfrastructure, "somebody stopped it");
  }
  if (record.reason == EndReason::kForkDeadlock) {
    return Say(Verdict::kInfrastructure,
               "it hung between the fork and its first step");
  }
  if (record.signal && word.ended) {
    return Say(
        Verdict::kCrash,
        DescribeEnd(record) + ", after the test itself had " + word.status);
  }
  return JudgeUnfinished(end, word);
}

}  // namespace

std::vector<Judgement> Judge(const WorkerEnd& end, std::size_t tests) {
  if (end.launch_error) {
    const Error& error = *end.launch_error;
    const std::string reason = IsConnectionLoss(error)
                                   ? "forkserverd died or was stopped"
                                   : error.ToString();
    return std::vector<Judgement>(tests, {end.cancelled   ? Outcome::kCancelled
                                          : IsLoss(error) ? Outcome::kLost
                                                          : Outcome::kVerdict,
                                          Verdict::kInfrastructure, reason});
  }
  if (!end.report.infrastructure.empty()) {
    return std::vector<Judgement>(
        tests, Say(Verdict::kInfrastructure, end.report.infrastructure));
  }
  std::vector<FrameworkWord> words;
  if (end.report.damage.empty()) words = end.report.tests;
  words.resize(tests);
  const ExitRecord& record = *end.record;
  const bool by_itself = record.reason == EndReason::kExited && record.code &&
                         end.timed_out_after.empty() && !end.cancelled;
  const bool any_failed =
      std::any_of(words.begin(), words.end(), [](const FrameworkWord& word) {
        return word.ended && word.status == "failed";
      });
  // The test that the end of the process met: the first without an end, or
  // the last one.
  std::size_t met = 0;
  while (met + 1 < tests && words[met].ended) ++met;

  std::vector<Judgement> judgements;
  for (std::size_t i = 0; i < tests; ++i) {
    if (i < met || (by_itself && words[i].ended)) {
      WorkerEnd as_far = end;
      // What happened later is not this test's doing.
      if (i < met) as_far.record->code = as_far.record->code.value_or(0);
      judgements.push_back(
          JudgeWord(as_far, words[i], i + 1 == tests, any_failed || i < met));
    } else if (i > met) {
      judgements.push_back(
          {Outcome::kNotBegun, Verdict::kInfrastructure, "it had not begun"});
    } else if (WasLost(record) && end.timed_out_after.empty() &&
               !end.cancelled) {
      judgements.push_back(
          {Outcome::kLost, Verdict::kInfrastructure, DescribeLoss(record)});
    } else {
      judgements.push_back(JudgeMet(end, words[i]));
    }
  }
  if (by_itself && words.back().ended) JudgeLeak(end, judgements);
  return judgements;
}

bool IsConnectionLoss(const Error& error) {
  return error.code == error_code::kConnectionLost ||
         error.code == error_code::kDaemonStopping;
}

bool IsLoss(const Error& error) {
  return IsConnectionLoss(error) || error.code == error_code::kUnknownZygote ||
         error.code == error_code::kZygoteFailed ||
         error.code == error_code::kZygoteRetired ||
         error.code == error_code::kZygoteQuarantined;
}

std::string DescribeEnd(const ExitRecord& record) {
  if (record.code) return "exit code " + std::to_string(*record.code);
  if (!record.signal) return "nobody could observe how it ended";
  std::string text = cli::SignalName(static_cast<int>(*record.signal));
  if (record.crash && record.crash->address) {
    char address[32];
    std::snprintf(address, sizeof(address), "0x%llx",
                  static_cast<unsigned long long>(*record.crash->address));
    text += std::string(" at address ") + address;
  }
  if (*record.signal == SIGKILL && record.reason == EndReason::kSignaled) {
    text += " (sent by itself, by somebody else, or for lack of memory)";
  }
  return text;
}

bool IsUnsuccessful(Verdict verdict) {
  return verdict != Verdict::kPass && verdict != Verdict::kSkip &&
         verdict != Verdict::kFlaky;
}

Verdict JoinVerdicts(const std::vector<Attempt>& attempts) {
  const Verdict last = attempts.back().verdict;
  if (last != Verdict::kPass) return last;
  const bool failed_before =
      std::any_of(attempts.begin(), attempts.end(), [](const Attempt& attempt) {
        // What the harness could not do is not the test's doing.
        return IsUnsuccessful(attempt.verdict) &&
               attempt.verdict != Verdict::kInfrastructure;
      });
  return failed_before ? Verdict::kFlaky : Verdict::kPass;
}

}  // namespace forkserver::harness
