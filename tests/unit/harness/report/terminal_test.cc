// What a person sees where there is no bar: in a pipe. The bar is under tmux in
// terminal_tmux_test.
#include "tools/harness/report/terminal.h"

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "sdk/base/unique_fd.h"
#include "tests/harness/synthetic_run.h"
#include "tests/unit/leftovers.h"

namespace forkserver::harness {
namespace {

// A descriptor that can be read again.
class Output {
 public:
  Output() {
    char name[] = "/tmp/terminal_test_XXXXXX";
    fd_.Reset(::mkstemp(name));
    ::unlink(name);
  }
  int fd() const { return fd_.get(); }
  // What was written since the last call.
  std::string Take() {
    std::string text;
    char buffer[65536];
    ssize_t count;
    while ((count = ::pread(fd_.get(), buffer, sizeof buffer, at_)) > 0) {
      text.append(buffer, static_cast<std::size_t>(count));
      at_ += count;
    }
    return text;
  }

 private:
  UniqueFd fd_;
  off_t at_ = 0;
};

std::size_t Count(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos;
       at = text.find(part, at + part.size())) {
    ++count;
  }
  return count;
}

bool Has(const std::string& text, const std::string& part) {
  return Count(text, part) > 0;
}

TerminalOptions In(const Output& output) {
  TerminalOptions options;
  options.fd = output.fd();
  options.look.utf8 = true;
  return options;
}

TEST_CASE("a run in a pipe is lines without escape sequences") {
  const testing::NoLeftovers leftovers;
  Output output;
  const SyntheticRun run({});
  TerminalReporter terminal(In(output));
  REQUIRE(run.TellAll(terminal));
  const std::string text = output.Take();
  CHECK(text.starts_with(
      "Running 60 tests of 3 targets on 4 slots, longest first\n"));
  CHECK(text.ends_with(
      "FAILED  51 passed (1 flaky), 2 failed, 2 crashed, 1 timed out, 1 "
      "leaked, 1 could not be run, 2 skipped  of 60 tests in 3.034s\n"));
  CHECK_FALSE(Has(text, "\x1b"));
  CHECK_FALSE(Has(text, "\r"));
  CHECK_FALSE(Has(text, "\b"));
  CHECK_FALSE(Has(text, std::string(1, '\0')));
  CHECK(ValidUtf8(text) == text);
  // Nothing of the tests that passed.
  CHECK_FALSE(Has(text, "PASS "));
}

TEST_CASE("a failure is told shortly at once, and in full at the end, once") {
  Output output;
  const SyntheticRun run({});
  TerminalReporter terminal(In(output));
  terminal.OnRunBegan(run.plan());
  for (const SyntheticEvent& event : run.events()) run.Tell(event, terminal);
  const std::string during = output.Take();
  CHECK(Has(during,
            "CRASH    0.200s  bazel-bin/render/render_test::a scene "
            "with 10,000 lights is drawn 9  SIGSEGV at address 0x8"));
  CHECK_FALSE(Has(during, "sampling level -1"));
  CHECK_FALSE(Has(during, "Texture::LevelAt"));
  CHECK(Has(during, "SLOW"));
  CHECK(Has(during, "attempt 1, tried again"));
  static_cast<void>(terminal.OnRunEnded(run.Summary()));
  const std::string end = output.Take();
  // Of two crashed tests, one each.
  CHECK(Count(end, "sampling level -1") == 2);
  CHECK(Count(end, "#0 Texture::LevelAt(int) const at render/texture.cc:118") ==
        2);
  CHECK(Has(end, "render/textures_test.cc:42: in subcase"));
  CHECK(Has(end, "values: CHECK( 639 == 640 )"));
  CHECK(Has(end, "4711 sleep 100"));
  CHECK(Has(end, "attempt 2 of 3"));
  CHECK(Count(end, "  the same as before\n") == 2);
  CHECK(Count(end, "</script><script>alert(1)</script>") == 1);
  CHECK(Has(end, "exceeded 1.5s"));
  CHECK(Has(end, "drawing 10,000 lights"));
  CHECK(Has(end, "warning: no GPU"));
  // The output of a flaky test is no failing output; that it is flaky is said.
  CHECK(Has(end, "FLAKY"));
  CHECK_FALSE(Has(end, "── FLAKY"));
}

TEST_CASE("what a test writes does not reach the terminal as it is") {
  Output output;
  TerminalOptions options = In(output);
  options.look.colors = true;
  const SyntheticRun run({});
  TerminalReporter terminal(options);
  REQUIRE(run.TellAll(terminal));
  const std::string text = output.Take();
  CHECK(Has(text, "^[[2J^[[H^[]0;title^G moved"));
  CHECK_FALSE(Has(text, "\x1b[2J"));
  CHECK_FALSE(Has(text, "\x07"));
  // Its colours do, and end with their line.
  CHECK(Has(text, "\x1b[32mok\x1b[0m 3 textures\n"));
}

TEST_CASE("every test has a line where that is asked for") {
  Output output;
  TerminalOptions options = In(output);
  options.every_test = true;
  const SyntheticRun run({});
  TerminalReporter terminal(options);
  REQUIRE(run.TellAll(terminal));
  const std::string text = output.Take();
  CHECK(Count(text, "\nPASS ") == 50);
  CHECK(Has(text, "SKIP"));
  CHECK(Has(text, "os: no GPU on this machine"));
}

TEST_CASE("in a log the progress is told now and then") {
  Output output;
  const SyntheticRun run({});
  TerminalReporter terminal(In(output));
  terminal.OnRunBegan(run.plan());
  output.Take();
  // Times are those of the clock when the run began.
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const std::int64_t begun_ns = now.tv_sec * 1'000'000'000 + now.tv_nsec;
  const std::vector<RunningTest> running = {run.Running(3, 0, 500'000)};
  std::size_t lines = 0;
  for (std::int64_t second = 0; second < 600; ++second) {
    terminal.OnTick(begun_ns + second * 1'000'000'000, running);
    const std::string text = output.Take();
    lines += Count(text, "\n");
    if (!text.empty()) CHECK(Has(text, "uniforms keep their order 3 (0.5"));
  }
  CHECK(lines >= 10);
  CHECK(lines <= 16);
}

TEST_CASE("what runs now is shown with its output so far") {
  Output output;
  const SyntheticRun run({});
  TerminalReporter terminal(In(output));
  terminal.OnRunBegan(run.plan());
  output.Take();
  RunningTest silent = run.Running(2, 0, 700'000);
  RunningTest busy = run.Running(14, 0, 1'400'000);
  for (int i = 0; i < 1000; ++i) {
    busy.out.head += "line " + std::to_string(i) + "\n";
  }
  terminal.OnShowRunning({silent, busy});
  const std::string text = output.Take();
  CHECK(Has(text, "running now: 2 of 60 tests, 0 ended"));
  CHECK(Has(text, "SolverTest.Converges 2  (slot"));
  CHECK(Has(text, "no output so far"));
  CHECK(Has(text, "│ line 999\n"));
  CHECK(Has(text, "lines before these"));
  CHECK_FALSE(Has(text, "│ line 100\n"));
}

TEST_CASE("output that is not captured has its test's name, line by line") {
  Output output;
  const SyntheticRun run({});
  TerminalReporter terminal(In(output));
  terminal.OnRunBegan(run.plan());
  output.Take();
  const RunningTest one = run.Running(2, 0, 10);
  const RunningTest other = run.Running(3, 0, 10);
  terminal.OnOutput(one, 1, "half a ");
  terminal.OnOutput(other, 1, "whole\n");
  terminal.OnOutput(one, 2, "error\n");
  CHECK(output.Take() ==
        "uniforms keep their order 3 │ whole\n"
        "SolverTest.Converges 2 │ error\n");
  terminal.OnOutput(one, 1, "line\nno end");
  CHECK(output.Take() == "SolverTest.Converges 2 │ half a line\n");
  terminal.OnAttemptEnded(2, run.results()[2].attempts[0], true);
  CHECK(output.Take() == "SolverTest.Converges 2 │ no end\n");
}

TEST_CASE("with one slot output is not marked") {
  Output output;
  SyntheticOptions options;
  options.slots = 1;
  const SyntheticRun run(options);
  TerminalReporter terminal(In(output));
  terminal.OnRunBegan(run.plan());
  output.Take();
  terminal.OnOutput(run.Running(2, 0, 10), 1, "text\n");
  CHECK(output.Take() == "text\n");
}

TEST_CASE("the summary says why the run ended as it did") {
  const SyntheticRun run({});
  RunSummary summary;
  summary.planned = 60;
  summary.passed = 10;
  summary.not_run = 50;
  summary.exit_code = 1;
  const auto last_lines = [&] {
    Output output;
    TerminalReporter terminal(In(output));
    terminal.OnRunBegan(run.plan());
    output.Take();
    static_cast<void>(terminal.OnRunEnded(summary));
    return output.Take();
  };
  summary.stopped_because = "--fail-fast";
  CHECK(Has(last_lines(), "FAILED  10 passed, 50 not run"));
  CHECK(Has(last_lines(), "(stopped: --fail-fast)"));
  summary.interrupted = true;
  CHECK(Has(last_lines(), "INTERRUPTED"));
  summary.interrupted = false;
  summary.errors = {"--junit a.xml: write: No space left on device"};
  CHECK(Has(last_lines(), "ERROR   --junit a.xml: write: No space left"));
  summary = {};
  summary.exit_code = 4;
  CHECK(Has(last_lines(), "NO TESTS"));
  summary.planned = summary.passed = 3;
  summary.exit_code = 0;
  CHECK(last_lines() == "PASSED  3 passed  of 3 tests in 0.000s\n");
}

TEST_CASE("failing output that nobody could read is not kept in memory") {
  Output output;
  SyntheticOptions options;
  options.hostile = std::string(3 << 20, 'x');
  options.tests = 2000;
  const SyntheticRun run(options);
  TerminalReporter terminal(In(output));
  REQUIRE(run.TellAll(terminal));
  const std::string text = output.Take();
  CHECK(text.size() < (64u << 20));
  CHECK(Has(text, " more failed; their output is in the reports"));
  // Each is named all the same.
  CHECK(Count(text, "\nFAIL ") >= 20);
}

}  // namespace
}  // namespace forkserver::harness
