// The options of `test`, declared to CLI11. Part of command_line.cc, as
// declare_options.h is.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "tools/forkserver/declare_values.h"
#include "tools/harness/plan/options.h"

namespace forkserver::cli {

inline void AddTestRunOptions(CLI::App& app, harness::TestOptions& test) {
  const auto group = "How tests are run";
  app.add_option("-j,--jobs", test.jobs,
                 "How many run at a time (default: as many as cores)")
      ->check(CLI::Range(1, 10'000))
      ->type_name("N")
      ->group(group);
  AddDuration(app, "--timeout", test.timeout,
              "A test that takes longer is ended; 0: none is (default: 10m)")
      ->group(group);
  AddDuration(app, "--slow-after", test.slow_after,
              "A test that takes longer is named while it runs (default: 30s)")
      ->group(group);
  AddDuration(app, "--grace", test.grace,
              "Between TERM and KILL when a test is ended (default: 5s)")
      ->group(group);
  app.add_option("--retries", test.retries,
                 "Further attempts of a test that did not pass (default: 0)")
      ->check(CLI::Range(0, 1000))
      ->type_name("N")
      ->group(group);
  AddDuration(app, "--retry-delay", test.retry_delay,
              "Before the second attempt, twice as long before the third, and "
              "so on (default: 0)")
      ->group(group);
  CLI::Option* const fail_fast =
      app.add_flag_callback(
             "--fail-fast", [&test] { test.fail_fast = true; },
             "Begin no further test after the first failure")
          ->group(group);
  app.add_option("--max-fail", test.max_fail,
                 "Begin no further test after so many failures")
      ->check(CLI::Range(1, 1'000'000))
      ->type_name("N")
      ->excludes(fail_fast)
      ->group(group);
  CLI::Option* const repeat =
      app.add_option("--repeat", test.repeat, "Run each test so many times")
          ->check(CLI::Range(1, 1'000'000))
          ->type_name("N")
          ->group(group);
  AddDuration(app, "--stress", test.stress,
              "Run the tests again and again for this time; of one test as "
              "many copies at a time as --jobs says")
      ->excludes(repeat)
      ->group(group);
  app.add_option("--shuffle", test.shuffle,
                 "In an order that depends on this number alone, or \"random\"")
      ->type_name("SEED")
      ->group(group);
  app.add_option("--isolate", test.isolate,
                 "Whether each test has a worker of its own, or those of a "
                 "suite or a file share one (default: test)")
      ->check(CLI::IsMember({"test", "suite", "file"}))
      ->type_name("test|suite|file")
      ->group(group);
  app.add_option("--leaks", test.leaks,
                 "What it means that a test leaves a process or an open "
                 "stream behind (default: fail)")
      ->check(CLI::IsMember({"fail", "warn", "off"}))
      ->type_name("fail|warn|off")
      ->group(group);
  app.add_flag_callback(
         "--no-capture", [&test] { test.capture = false; },
         "Show the output of tests while they run")
      ->group(group);
}

inline void AddTestChoiceOptions(CLI::App& app, harness::TestOptions& test) {
  const auto group = "Which tests, and what for";
  app.add_option("--partition", test.partition,
                 "Only the Nth of M parts, by their ids or balanced by their "
                 "recorded times")
      ->type_name("hash|balanced:N/M")
      ->group(group);
  app.add_option("--durations", test.durations,
                 "Read the recorded times from this file")
      ->type_name("FILE")
      ->group(group);
  app.add_option("--rerun", test.rerun,
                 "Only the tests that did not pass when they ran last")
      ->check(CLI::IsMember({"failed"}))
      ->type_name("failed")
      ->group(group);
  CLI::Option* const list =
      app.add_flag("--list", test.list, "List the tests, and run none")
          ->group(group);
  CLI::Option* const debug =
      app.add_option("--debug", test.debug,
                     "Run this test alone, with the streams of this terminal")
          ->type_name("TEST")
          ->excludes(list)
          ->group(group);
  app.add_option("--debugger", test.debugger, "Under this debugger")
      ->check(CLI::IsMember({"gdb"}))
      ->type_name("gdb")
      ->needs(debug)
      ->group(group);
  app.add_option("--config", test.config,
                 "The settings (default: forkserver.toml, here or above)")
      ->type_name("FILE")
      ->group(group);
  app.add_option("--profile", test.profile, "One of its profiles")
      ->type_name("NAME")
      ->group(group);
}

inline void AddTestTargetOptions(CLI::App& app, harness::TestOptions& test) {
  const auto group = "Targets";
  app.add_option("--framework", test.framework,
                 "What the targets are (default: what they say)")
      ->check(CLI::IsMember(
          {"doctest", "gtest", "catch2", "program", "unittest", "pytest"}))
      ->type_name("NAME")
      ->group(group);
  AddRepeatable(app, "--preload", test.preload,
                "Named warm-up, done once before the tests are forked; may be "
                "repeated")
      ->type_name("STEP")
      ->group(group);
  AddRepeatable(app, "--argument", test.arguments,
                "Further argument for the framework; may be repeated")
      ->type_name("WORD")
      ->group(group);
  app.add_flag("--cold", test.cold,
               "Fork no test from a warm process: an exec for each")
      ->group(group);
  app.add_option("--python", test.python,
                 "The interpreter of Python targets (default: python3)")
      ->type_name("PROGRAM")
      ->group(group);
  app.add_flag("--why", test.why, "Say why a zygote was made anew, or was not")
      ->group(group);
  app.add_flag("--private-daemon", test.private_daemon,
               "Use a forkserverd of its own even if one is running")
      ->group(group);
}

inline void AddTestReportOptions(CLI::App& app, harness::TestOptions& test) {
  const auto group = "Reports";
  app.add_option("--junit", test.junit, "Write JUnit XML")
      ->type_name("FILE")
      ->group(group);
  app.add_option("--trace", test.trace, "Write a trace for Perfetto or Chrome")
      ->type_name("FILE")
      ->group(group);
  app.add_option("--html", test.html, "Write one page for a browser")
      ->type_name("FILE")
      ->group(group);
  app.add_flag_callback(
         "--verbose", [&test] { test.verbose = true; }, "A line for each test")
      ->group(group);
  app.add_option("--color", test.color,
                 "Whether the terminal gets colours (default: auto)")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->type_name("auto|always|never")
      ->group(group);
}

inline void AddTestOptions(CLI::App& app, harness::TestOptions& test) {
  app.add_option("TARGET", test.targets, "What contains the tests");
  AddTestRunOptions(app, test);
  AddTestChoiceOptions(app, test);
  AddTestTargetOptions(app, test);
  AddTestReportOptions(app, test);
}

}  // namespace forkserver::cli
