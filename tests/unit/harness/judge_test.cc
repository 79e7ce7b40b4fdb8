#include "tools/harness/run/judge.h"

#include <doctest/doctest.h>

#include <csignal>
#include <string>
#include <utility>
#include <vector>

namespace forkserver::harness {
namespace {

using Outcome = Judgement::Outcome;

FrameworkWord Silent() { return {}; }
FrameworkWord Begun() {
  FrameworkWord word;
  word.begun = true;
  return word;
}
FrameworkWord Said(const std::string& status) {
  FrameworkWord word = Begun();
  word.ended = true;
  word.status = status;
  return word;
}

// How a process ended.
ExitRecord Exited(std::int64_t code) {
  ExitRecord record;
  record.code = code;
  record.reason = EndReason::kExited;
  return record;
}
ExitRecord Signaled(std::int64_t signal) {
  ExitRecord record;
  record.signal = signal;
  record.reason = EndReason::kSignaled;
  return record;
}
ExitRecord EndedFor(EndReason reason) {
  ExitRecord record;
  record.signal = SIGKILL;
  record.reason = reason;
  return record;
}

WorkerEnd End(ExitRecord record, std::vector<FrameworkWord> words,
              bool complete) {
  WorkerEnd end;
  end.record = std::move(record);
  end.report.tests = std::move(words);
  end.report.complete = complete;
  return end;
}

struct Row {
  const char* what;
  WorkerEnd end;
  Verdict verdict;
  const char* reason;  // its beginning
};

void CheckRow(const Row& row) {
  CAPTURE(row.what);
  const auto judgements = Judge(row.end, 1);
  REQUIRE(judgements.size() == 1);
  CHECK(judgements[0].outcome == Outcome::kVerdict);
  CHECK(NameOf(judgements[0].verdict) == NameOf(row.verdict));
  CAPTURE(judgements[0].reason);
  CHECK(judgements[0].reason.find(row.reason) == 0);
  CHECK(judgements[0].reason.empty() == (*row.reason == '\0'));
}

TEST_CASE("the wait status and the framework make the verdict together") {
  FrameworkWord failed = Said("failed");
  failed.failures = {{"\nCHECK( 1 == 2 ) failed\nmore", "a.cc", 7, ""}};
  FrameworkWord skipped = Said("skipped");
  skipped.skip_reason = "no database";
  ExitRecord segv = Signaled(SIGSEGV);
  segv.crash.emplace();
  segv.crash->address = 8;
  const Row rows[] = {
      {"passed, exit 0", End(Exited(0), {Said("passed")}, true), Verdict::kPass,
       ""},
      {"failed, exit 1", End(Exited(1), {failed}, true), Verdict::kFail,
       "CHECK( 1 == 2 ) failed"},
      {"failed without a word", End(Exited(3), {Said("failed")}, true),
       Verdict::kFail, "exit code 3"},
      {"failed, exit 0", End(Exited(0), {failed}, true), Verdict::kFail,
       "CHECK("},
      {"skipped", End(Exited(0), {skipped}, true), Verdict::kSkip,
       "no database"},
      // Exit 0 is not enough.
      {"exit 0, it had begun", End(Exited(0), {Begun()}, false),
       Verdict::kCrash, "exited early with code 0"},
      {"exit 0, nothing said", End(Exited(0), {Silent()}, false),
       Verdict::kCrash, "exited early with code 0"},
      {"exit 7 in the middle", End(Exited(7), {Begun()}, false),
       Verdict::kCrash, "exited early with code 7"},
      {"passed, and then left without returning",
       End(Exited(0), {Said("passed")}, false), Verdict::kCrash,
       "exited early with code 0 after the test itself had passed"},
      {"the framework returned without it", End(Exited(0), {Silent()}, true),
       Verdict::kInfrastructure, "its framework returned and did not run it"},
      // Nor is the framework's word.
      {"passed, exit 3", End(Exited(3), {Said("passed")}, true),
       Verdict::kCrash, "exited with code 3 although the test had passed"},
      {"skipped, exit 1", End(Exited(1), {skipped}, true), Verdict::kCrash,
       "exited with code 1 although the test had skipped"},
      {"passed, then a signal", End(Signaled(SIGSEGV), {Said("passed")}, true),
       Verdict::kCrash, "SIGSEGV, after the test itself had passed"},
      {"failed, then a signal", End(Signaled(SIGABRT), {failed}, false),
       Verdict::kCrash, "SIGABRT, after the test itself had failed"},
      {"a signal", End(segv, {Begun()}, false), Verdict::kCrash,
       "SIGSEGV at address 0x8"},
      {"a signal before it began", End(Signaled(SIGILL), {Silent()}, false),
       Verdict::kCrash, "SIGILL"},
      {"killed", End(Signaled(SIGKILL), {Begun()}, false), Verdict::kCrash,
       "SIGKILL (sent by itself"},
      {"a word that nobody knows", End(Exited(0), {Said("maybe")}, true),
       Verdict::kInfrastructure, "its framework said 'maybe'"},
      {"somebody stopped it",
       End(EndedFor(EndReason::kStopped), {Begun()}, false),
       Verdict::kInfrastructure, "somebody stopped it"},
      {"it never got to its entry",
       End(EndedFor(EndReason::kForkDeadlock), {Silent()}, false),
       Verdict::kInfrastructure, "it hung between the fork"},
  };
  for (const Row& row : rows) CheckRow(row);
}

TEST_CASE("a damaged report is nobody's word") {
  WorkerEnd end = End(Exited(0), {Said("passed")}, true);
  end.report.damage = "a record is cut off";
  CheckRow({"exit 0", end, Verdict::kCrash,
            "exited early with code 0; what it reported cannot be read: a "
            "record is cut off"});
  end.record = Signaled(SIGBUS);
  CheckRow({"a signal", end, Verdict::kCrash, "SIGBUS"});
}

TEST_CASE("a timeout is one whatever the test says in the end") {
  WorkerEnd end = End(Signaled(SIGTERM), {Begun()}, false);
  end.timed_out_after = "30s";
  CheckRow({"ended", end, Verdict::kTimeout, "exceeded 30s"});
  end.record = Exited(0);
  CheckRow({"exit 0", end, Verdict::kTimeout, "exceeded 30s"});
  end.report.tests = {Said("passed")};
  CheckRow({"passed", end, Verdict::kTimeout,
            "exceeded 30s, after the test itself had passed"});
  // Its zygote went with it.
  end.record = EndedFor(EndReason::kZygoteDied);
  CheckRow({"zygote", end, Verdict::kTimeout, "exceeded 30s"});
}

TEST_CASE("what is left behind makes a pass a leak, as it is asked for") {
  WorkerEnd end = End(Exited(0), {Said("passed")}, true);
  end.leaked = {"4711 sleep 100", "its standard output"};
  CheckRow({"fail", end, Verdict::kLeak, "left behind: 4711 sleep 100"});
  end.leaks = LeakPolicy::kWarn;
  CheckRow({"warn", end, Verdict::kPass, ""});
  end.leaks = LeakPolicy::kFail;
  end.report.tests = {Said("failed")};
  CheckRow({"failed", end, Verdict::kFail, "exit code 0"});
}

TEST_CASE("a worker that is gone with its zygote says nothing") {
  for (const EndReason reason :
       {EndReason::kZygoteDied, EndReason::kClientGone,
        EndReason::kDaemonStopping, EndReason::kLost}) {
    CAPTURE(NameOf(reason));
    const auto judgements = Judge(End(EndedFor(reason), {Begun()}, false), 1);
    CHECK(judgements[0].outcome == Outcome::kLost);
  }
}

TEST_CASE("a worker that was not made says nothing, or what went wrong") {
  WorkerEnd end;
  end.launch_error = MakeError(error_code::kUnknownZygote, "no such zygote");
  CHECK(Judge(end, 2)[1].outcome == Outcome::kLost);
  for (const char* code :
       {error_code::kConnectionLost, error_code::kDaemonStopping}) {
    end.launch_error = MakeError(code, "a long story");
    CHECK(Judge(end, 1)[0].outcome == Outcome::kLost);
    CHECK(Judge(end, 1)[0].reason == "forkserverd died or was stopped");
  }
  end.launch_error = MakeError(error_code::kLaunchFailed, "no such program");
  const auto judgements = Judge(end, 1);
  CHECK(judgements[0].outcome == Outcome::kVerdict);
  CHECK(judgements[0].verdict == Verdict::kInfrastructure);
  CHECK(judgements[0].reason.find("no such program") == 0);
}

TEST_CASE("a test that the harness ended for its own reasons has no verdict") {
  WorkerEnd end = End(Signaled(SIGTERM), {Begun()}, false);
  end.cancelled = true;
  CHECK(Judge(end, 1)[0].outcome == Outcome::kCancelled);
}

// "pass crash:SIGSEGV not-begun"
std::string Several(const WorkerEnd& end, std::size_t tests) {
  std::string text;
  for (const Judgement& judgement : Judge(end, tests)) {
    if (!text.empty()) text += ' ';
    switch (judgement.outcome) {
      case Outcome::kVerdict:
        text += NameOf(judgement.verdict);
        break;
      case Outcome::kNotBegun:
        text += "not-begun";
        break;
      case Outcome::kLost:
        text += "lost";
        break;
      case Outcome::kCancelled:
        text += "cancelled";
        break;
    }
  }
  return text;
}

TEST_CASE("of several tests in a worker each has its own verdict") {
  const FrameworkWord passed = Said("passed");
  const FrameworkWord failed = Said("failed");
  const FrameworkWord skipped = Said("skipped");
  CHECK(Several(End(Exited(0), {passed, passed, skipped}, true), 3) ==
        "pass pass skip");
  CHECK(Several(End(Exited(1), {passed, failed, passed}, true), 3) ==
        "pass fail pass");
  // Exit 1, and none has failed.
  CHECK(Several(End(Exited(1), {passed, passed}, true), 2) == "pass crash");
  CHECK(Several(End(Exited(0), {passed, passed}, false), 2) == "pass crash");
}

TEST_CASE("the one that had begun and not ended is the one that crashed") {
  const FrameworkWord passed = Said("passed");
  const FrameworkWord failed = Said("failed");
  CHECK(Several(End(Signaled(SIGSEGV), {passed, Begun(), Silent()}, false),
                3) == "pass crash not-begun");
  CHECK(Several(End(Exited(0), {failed, Begun(), Silent()}, false), 3) ==
        "fail crash not-begun");
  // After the last one, in what the framework does at the end.
  CHECK(Several(End(Signaled(SIGSEGV), {passed, passed}, true), 2) ==
        "pass crash");
  // Before the next one had begun.
  CHECK(Several(End(Signaled(SIGSEGV), {passed, Silent(), Silent()}, false),
                3) == "pass crash not-begun");
  CHECK(Several(End(Signaled(SIGSEGV), {}, false), 2) == "crash not-begun");
}

TEST_CASE("a timeout or a loss meets one of several only") {
  WorkerEnd end =
      End(Signaled(SIGTERM), {Said("passed"), Begun(), Silent()}, false);
  end.timed_out_after = "1s";
  CHECK(Several(end, 3) == "pass timeout not-begun");
  CHECK(Several(End(EndedFor(EndReason::kZygoteDied),
                    {Said("passed"), Begun(), Silent()}, false),
                3) == "pass lost not-begun");
}

TEST_CASE("all attempts of a test make one verdict") {
  const auto join = [](std::initializer_list<Verdict> verdicts) {
    std::vector<Attempt> attempts;
    for (const Verdict verdict : verdicts) {
      attempts.emplace_back().verdict = verdict;
    }
    return JoinVerdicts(attempts);
  };
  CHECK(join({Verdict::kPass}) == Verdict::kPass);
  CHECK(join({Verdict::kFail, Verdict::kPass}) == Verdict::kFlaky);
  CHECK(join({Verdict::kCrash, Verdict::kLeak, Verdict::kPass}) ==
        Verdict::kFlaky);
  CHECK(join({Verdict::kFail, Verdict::kCrash}) == Verdict::kCrash);
  // Its zygote died once, which was not its doing.
  CHECK(join({Verdict::kInfrastructure, Verdict::kPass}) == Verdict::kPass);
  CHECK(join({Verdict::kFail, Verdict::kSkip}) == Verdict::kSkip);
}

}  // namespace
}  // namespace forkserver::harness
