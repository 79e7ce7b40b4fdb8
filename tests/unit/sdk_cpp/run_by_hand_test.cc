// A zygote program that somebody starts by hand.
#include <doctest/doctest.h>
#include <sys/wait.h>

#include <csignal>

#include "tests/unit/sdk_cpp/zygote_driver.h"

using forkserver::testing::HandRun;
using forkserver::testing::RunZygoteProgram;

namespace {

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

int ExitCodeOf(const HandRun& run) {
  return WIFEXITED(run.status) ? WEXITSTATUS(run.status) : -1;
}

}  // namespace

TEST_CASE("by hand an entry runs in the program itself") {
  HandRun run = RunZygoteProgram({"echo", "--args", "Ada"});
  CHECK(ExitCodeOf(run) == 0);
  CHECK(run.output == "Ada");
  CHECK(run.errors == "");

  run = RunZygoteProgram({"exit_code", "--args", "5"});
  CHECK(ExitCodeOf(run) == 5);

  run = RunZygoteProgram({"print_context", "--", "--list", "b"});
  CHECK(Contains(run.output, "|print_context|--list|b"));
}

TEST_CASE("by hand an entry has the caller's own environment") {
  CHECK(
      Contains(RunZygoteProgram({"print_env"}, {"MINE=1"}).output, "MINE=1\n"));
}

TEST_CASE("by hand an entry's output comes before its result") {
  CHECK(RunZygoteProgram({"write_to_stdout", "--args", "text"}).output ==
        "text");
}

TEST_CASE("--list prints the names of the entries, one per line") {
  const HandRun run = RunZygoteProgram({"--list"});
  CHECK(ExitCodeOf(run) == 0);
  CHECK(run.output.rfind("abort\nabort_loudly\n", 0) == 0);
}

TEST_CASE("--help explains the program and names its entries") {
  const HandRun run = RunZygoteProgram({"--help"});
  CHECK(ExitCodeOf(run) == 0);
  CHECK(Contains(run.output, "usage:"));
  CHECK(Contains(run.output, "sleep_forever"));
}

TEST_CASE("a wrong command line explains itself on standard error") {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{},
        {"nonsense"},
        {"--nonsense"},
        {"echo", "echo"},
        {"echo", "--args"},
        {"--preload", "nonsense", "echo"}}) {
    const HandRun run = RunZygoteProgram(arguments);
    CHECK(ExitCodeOf(run) == 2);
    CHECK(run.output == "");
    CHECK(Contains(run.errors, "usage:"));
    CHECK(Contains(run.errors, "print_cwd"));
  }
}

TEST_CASE("--preload runs a preload step first") {
  CHECK(Contains(
      RunZygoteProgram({"--preload", "sets_frozen", "print_env"}).output,
      "FROZEN_BY_PRELOAD=1"));
  const HandRun run = RunZygoteProgram({"--preload", "fails", "echo"});
  CHECK(ExitCodeOf(run) == 125);
  CHECK(Contains(run.errors, "the model file is missing"));
}

TEST_CASE("by hand an exception is printed and ends the program") {
  const HandRun run = RunZygoteProgram({"throw"});
  CHECK((WIFSIGNALED(run.status) && WTERMSIG(run.status) == SIGABRT));
  CHECK(Contains(run.errors, "entry 'throw' threw: no such luck"));
}
