#include "tests/harness/synthetic_run.h"

#include <algorithm>
#include <random>
#include <utility>

namespace forkserver::harness {
namespace {

constexpr std::int64_t kMs = 1000;

struct SyntheticTarget {
  const char* label;
  const char* framework;
  bool warm;
  std::vector<std::pair<const char*, const char*>> suites;  // suite, file
  std::vector<const char*> tests;
};

const std::vector<SyntheticTarget>& Targets() {
  static const auto& targets = *new std::vector<SyntheticTarget>{
      {"bazel-bin/render/render_test",
       "doctest",
       true,
       {{"shaders", "render/shaders_test.cc"},
        {"textures", "render/textures_test.cc"},
        {"scene", "render/scene_test.cc"}},
       {"a shader without a main function is refused",
        "uniforms keep their order", "an empty texture has no mip levels",
        "a scene with 10,000 lights is drawn", "colours are linear",
        "normals survive a round trip", "a missing font falls back"}},
      {"tests/test_orders.py",
       "pytest",
       true,
       {{"TestCheckout", "tests/test_orders.py"},
        {"TestStock", "tests/test_orders.py"}},
       {"test_total_has_tax", "test_refund_is_booked_once",
        "test_reserved_stock_is_released", "test_unicode_name[Łukasz 東京]",
        "test_empty_basket"}},
      {"bazel-bin/physics/solver_test",
       "gtest",
       true,
       {{"SolverTest", "physics/solver_test.cc"},
        {"Sizes/GridTest", "physics/grid_test.cc"}},
       {"Converges", "KeepsEnergy", "StopsAtLimit", "HandlesZeroMass/3"}},
  };
  return targets;
}

protocol::TestFailure Failure(std::string message, std::string file,
                              std::int64_t line, std::string where = {}) {
  protocol::TestFailure failure;
  failure.message = std::move(message);
  failure.file = std::move(file);
  failure.line = line;
  failure.where = std::move(where);
  return failure;
}

ExitRecord Record(const Attempt& attempt) {
  ExitRecord exit;
  exit.id = "7f3a-" + std::to_string(attempt.begun_ns / 1000 % 100000);
  exit.pid = 4000 + attempt.begun_ns / 1000 % 20000;
  exit.kind = WorkerKind::kForked;
  exit.zygote = "render_test";
  exit.reason = EndReason::kExited;
  exit.code = 0;
  exit.max_rss_bytes = 23 << 20;
  exit.user_us = attempt.wall_us / 2;
  exit.system_us = attempt.wall_us / 20;
  exit.wall_us = attempt.wall_us;
  exit.journey.received_ns = attempt.begun_ns + 60'000;
  exit.journey.launch_begun_ns = attempt.begun_ns + 80'000;
  exit.journey.launched_ns = attempt.begun_ns + 250'000;
  exit.journey.started_ns = attempt.begun_ns + 420'000;
  exit.journey.ended_ns = attempt.ended_ns - 90'000;
  return exit;
}

void MakeFail(Attempt& attempt, const TestCase& test) {
  attempt.verdict = Verdict::kFail;
  attempt.reason = "2 checks failed";
  attempt.failures = {
      Failure("CHECK( pixel == Color{255, 128, 0} ) is NOT correct!\n"
              "  values: CHECK( {254, 128, 0} == {255, 128, 0} )",
              test.listed.file, 42, "subcase \"half transparent\""),
      Failure("CHECK( image.width() == 640 ) is NOT correct!\n"
              "  values: CHECK( 639 == 640 )",
              test.listed.file, 57)};
  attempt.out.head =
      "loading scene 'lights'\n\x1b[32mok\x1b[0m 3 textures\n"
      "drawing 10,000 lights\n";
  attempt.err.head = "warning: no GPU, drawing with the CPU\n";
}

void MakeCrash(Attempt& attempt) {
  attempt.verdict = Verdict::kCrash;
  attempt.reason = "SIGSEGV at address 0x8 (SEGV_MAPERR)";
  attempt.backtrace = {
      "#0 Texture::LevelAt(int) const at render/texture.cc:118",
      "#1 Sampler::Sample(Vec2) at render/sampler.cc:64",
      "#2 DOCTEST_ANON_FUNC_14() at render/textures_test.cc:31",
      "#3 doctest::Context::run() (/usr/include/doctest/doctest.h:7001)"};
  attempt.err.head = "sampling level -1\n";
  attempt.exit->code.reset();
  attempt.exit->signal = 11;
  attempt.exit->reason = EndReason::kSignaled;
}

void MakeTimeout(Attempt& attempt) {
  attempt.verdict = Verdict::kTimeout;
  attempt.reason = "exceeded 1.5s";
  attempt.backtrace = {"#0 __futex_wait at libc.so.6",
                       "#1 std::mutex::lock() at physics/grid.cc:210",
                       "#2 GridTest_Body() at physics/grid_test.cc:77"};
  attempt.out.head = "iteration 1: residual 0.5\niteration 2: residual 0.5\n";
  attempt.exit->code.reset();
  attempt.exit->signal = 9;
  attempt.exit->reason = EndReason::kTimeout;
}

void MakeHostile(Attempt& attempt, const SyntheticOptions& options) {
  attempt.verdict = Verdict::kFail;
  attempt.reason = "1 check failed";
  attempt.failures = {
      Failure("expected '<b>&amp;</b>' ]]> \"quoted\"\n\x01\x02",
              "tests/<odd>&name.py", 7)};
  attempt.out.head = std::string(
                         "</script><script>alert(1)</script>\n"
                         "<!-- <script> ]]> --> ?>\n"
                         "\x1b[2J\x1b[H\x1b]0;title\x07 moved\r"
                         "over\b\xff\xfe half \xe6\x9d\n"
                         "nul \0 here \xc2\x9b"
                         "31m \xe2\x80\xae"
                         "rtl\n",
                         111) +
                     options.hostile;
}

// What happened to the test `index`.
std::vector<Verdict> ScriptOf(std::size_t index,
                              const SyntheticOptions& options) {
  if (!options.troubles) return {Verdict::kPass};
  switch (index % 200) {
    case 3:
      return {Verdict::kFail};
    case 5:
    case 59:
      return {Verdict::kSkip};
    case 9:
      return {Verdict::kCrash};
    case 11:
      return {Verdict::kFail, Verdict::kPass};
    case 14:
      return {Verdict::kTimeout};
    case 16:
      return {Verdict::kLeak};
    case 17:
      return {Verdict::kFail, Verdict::kCrash};
    case 19:
      return {Verdict::kInfrastructure};
    case 27:
      return {Verdict::kFail, Verdict::kFail, Verdict::kFail};
    default:
      return {Verdict::kPass};
  }
}

// The hostile one fails too; see ScriptOf.
constexpr std::size_t kHostile = 27;
constexpr std::size_t kBig = 3;

}  // namespace

SyntheticRun::SyntheticRun(const SyntheticOptions& options)
    : options_(options) {
  MakePlan();
  MakeResults();
  Schedule();
}

void SyntheticRun::MakePlan() {
  std::int64_t at_ns = options_.begun_ns - 300'000'000;
  for (const SyntheticTarget& target : Targets()) {
    TargetReady ready;
    ready.label = target.label;
    ready.framework = target.framework;
    ready.warm = target.warm;
    ready.tests = options_.tests / Targets().size();
    ready.begun_ns = at_ns;
    ready.ended_ns = at_ns + 80'000'000;
    at_ns += 95'000'000;
    targets_.push_back(std::move(ready));
  }
  plan_.run_id = "20260101-120000-4711";
  plan_.begun_unix_ms = options_.begun_unix_ms;
  plan_.slots = options_.slots;
  plan_.notes = {"longest first"};
  std::mt19937 random(7);  // NOLINT: the same each time
  for (std::size_t i = 0; i < options_.tests; ++i) {
    const SyntheticTarget& target = Targets()[i * 7 % 3];
    const auto& [suite, file] = target.suites[i / 3 % target.suites.size()];
    TestCase test;
    test.target = target.label;
    test.listed.suite = suite;
    test.listed.file = file;
    test.listed.line = static_cast<std::int64_t>(20 + i % 400);
    const std::string framework = target.framework;
    const std::string name = target.tests[i / 3 % target.tests.size()];
    const std::string number = " " + std::to_string(i);
    if (framework == "gtest") {
      test.listed.name = std::string(suite) + "." + name + number;
    } else if (framework == "pytest") {
      test.listed.name = std::string(suite) + "::" + name + number;
    } else {
      test.listed.name = name + number;
      test.listed.tags = {suite};
    }
    if (i % 200 == kHostile && options_.troubles && options_.odd_bytes) {
      test.listed.name = "<b>\"odd\" & 'name'</b>\n\x1b[31m \xff" + number;
    }
    test.id = test.target + "::" + test.name();
    plan_.tests.push_back(std::move(test));
    plan_.last_wall_us.push_back(
        i % 13 == 0 ? 0 : static_cast<std::int64_t>(random() % 400) * kMs);
  }
}

void SyntheticRun::MakeResults() {
  std::mt19937 random(11);  // NOLINT: the same each time
  for (std::size_t i = 0; i < options_.tests; ++i) {
    TestResult result;
    result.test = i;
    for (const Verdict verdict : ScriptOf(i, options_)) {
      Attempt attempt;
      attempt.number = static_cast<int>(result.attempts.size()) + 1;
      attempt.verdict = verdict;
      const std::int64_t ms =
          verdict == Verdict::kTimeout ? 1500 : 3 + random() % 350;
      attempt.wall_us = static_cast<std::int64_t>(
          static_cast<double>(ms * kMs) * options_.slowness);
      result.attempts.push_back(std::move(attempt));
    }
    result.verdict = result.last().verdict;
    if (result.attempts.size() > 1 && result.verdict == Verdict::kPass) {
      result.verdict = Verdict::kFlaky;
    }
    results_.push_back(std::move(result));
  }
}

void SyntheticRun::Schedule() {
  std::vector<std::int64_t> free_at(static_cast<std::size_t>(options_.slots));
  for (std::size_t i = 0; i < results_.size(); ++i) {
    const auto slot = std::min_element(free_at.begin(), free_at.end());
    const int slot_number = static_cast<int>(slot - free_at.begin());
    for (std::size_t a = 0; a < results_[i].attempts.size(); ++a) {
      Attempt& attempt = results_[i].attempts[a];
      const std::int64_t begun_us = *slot;
      const std::int64_t ended_us = begun_us + attempt.wall_us + 600;
      attempt.slot = slot_number;
      attempt.begun_ns = options_.begun_ns + begun_us * 1000;
      attempt.ended_ns = options_.begun_ns + ended_us * 1000;
      attempt.exit = Record(attempt);
      const TestCase& test = plan_.tests[i];
      switch (attempt.verdict) {
        case Verdict::kFail:
          if (i % 200 == kHostile && options_.odd_bytes) {
            MakeHostile(attempt, options_);
          } else {
            MakeFail(attempt, test);
          }
          if (i == kBig && options_.big_output > 0) {
            const std::string line = "a line of a test that writes a lot\n";
            while (attempt.out.head.size() < options_.big_output / 2) {
              attempt.out.head += line;
            }
            attempt.out.tail = attempt.out.head;
            attempt.out.dropped_bytes = 1'000'000'000;
          }
          break;
        case Verdict::kCrash:
          MakeCrash(attempt);
          break;
        case Verdict::kTimeout:
          MakeTimeout(attempt);
          break;
        case Verdict::kLeak:
          attempt.reason = "left 2 things behind";
          attempt.leaked = {"4711 sleep 100", "its standard output"};
          break;
        case Verdict::kSkip:
          attempt.skip_reason = "os: no GPU on this machine";
          break;
        case Verdict::kInfrastructure:
          attempt.reason = "fork: Cannot allocate memory";
          attempt.exit.reset();
          break;
        default:
          break;
      }
      using Kind = SyntheticEvent::Kind;
      events_.push_back({begun_us, Kind::kAttemptStarted, i, a});
      if (attempt.wall_us >
          static_cast<std::int64_t>(1000 * kMs * options_.slowness)) {
        events_.push_back(
            {begun_us + attempt.wall_us * 2 / 3, Kind::kSlow, i, a});
      }
      events_.push_back({ended_us, Kind::kAttemptEnded, i, a});
      if (a + 1 == results_[i].attempts.size()) {
        events_.push_back({ended_us, Kind::kTestEnded, i, a});
      }
      *slot = ended_us;
    }
  }
  std::stable_sort(events_.begin(), events_.end(),
                   [](const SyntheticEvent& a, const SyntheticEvent& b) {
                     return a.at_us < b.at_us;
                   });
}

RunningTest SyntheticRun::Running(std::size_t test, std::size_t attempt,
                                  std::int64_t at_us) const {
  const Attempt& one = results_[test].attempts[attempt];
  RunningTest running;
  running.test = test;
  running.attempt = one.number;
  running.slot = one.slot;
  running.begun_ns = one.begun_ns;
  running.elapsed_us = at_us - (one.begun_ns - options_.begun_ns) / 1000;
  running.slow = running.elapsed_us > 1000 * kMs * options_.slowness;
  running.out = one.out;
  running.err = one.err;
  return running;
}

void SyntheticRun::Tell(const SyntheticEvent& event, Reporter& reporter) const {
  const TestResult& result = results_[event.test];
  switch (event.kind) {
    case SyntheticEvent::Kind::kAttemptStarted:
      return reporter.OnAttemptStarted(
          Running(event.test, event.attempt, event.at_us));
    case SyntheticEvent::Kind::kSlow:
      return reporter.OnAttemptSlow(
          Running(event.test, event.attempt, event.at_us));
    case SyntheticEvent::Kind::kAttemptEnded:
      return reporter.OnAttemptEnded(
          event.test, result.attempts[event.attempt],
          event.attempt + 1 == result.attempts.size());
    case SyntheticEvent::Kind::kTestEnded:
      return reporter.OnTestEnded(result);
  }
}

RunSummary SyntheticRun::Summary(std::size_t told) const {
  RunSummary summary;
  summary.planned = plan_.tests.size();
  std::size_t ended = 0;
  for (std::size_t i = 0; i < told; ++i) {
    summary.wall_us = events_[i].at_us;
    if (events_[i].kind != SyntheticEvent::Kind::kTestEnded) continue;
    ++ended;
    const Verdict verdict = results_[events_[i].test].verdict;
    const std::pair<Verdict, std::size_t*> counts[] = {
        {Verdict::kPass, &summary.passed},
        {Verdict::kFlaky, &summary.passed},
        {Verdict::kFlaky, &summary.flaky},
        {Verdict::kFail, &summary.failed},
        {Verdict::kSkip, &summary.skipped},
        {Verdict::kCrash, &summary.crashed},
        {Verdict::kTimeout, &summary.timed_out},
        {Verdict::kLeak, &summary.leaked},
        {Verdict::kInfrastructure, &summary.infrastructure}};
    for (const auto& [counted, count] : counts) {
      if (counted == verdict) ++*count;
    }
  }
  summary.not_run = summary.planned - ended;
  const bool good = summary.passed + summary.skipped == summary.planned;
  summary.exit_code = good ? 0 : 1;
  return summary;
}

Result<void> SyntheticRun::TellAll(Reporter& reporter) const {
  for (const TargetReady& target : targets_) reporter.OnTargetReady(target);
  reporter.OnRunBegan(plan_);
  for (const SyntheticEvent& event : events_) Tell(event, reporter);
  return reporter.OnRunEnded(Summary());
}

}  // namespace forkserver::harness
