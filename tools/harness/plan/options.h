// What `forkserver test` can be told: by its command line, by a section of
// forkserver.toml. Plain values; what is not said is absent or empty.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace forkserver::harness {

struct TestOptions {
  std::vector<std::string> targets;
  std::vector<std::string> filters;

  std::string config;   // the file
  std::string profile;  // one of the file's

  // How the tests are run.
  std::optional<int> jobs;
  std::optional<std::chrono::milliseconds> timeout;
  std::optional<std::chrono::milliseconds> slow_after;
  std::optional<std::chrono::milliseconds> grace;
  std::optional<int> retries;
  std::optional<std::chrono::milliseconds> retry_delay;
  std::optional<bool> fail_fast;
  std::optional<int> max_fail;
  std::optional<int> repeat;
  std::optional<std::chrono::milliseconds> stress;
  std::string shuffle;  // a number, or "random"
  std::string isolate;  // test, suite, file
  std::string leaks;    // fail, warn, off
  std::optional<bool> capture;

  // Which of them.
  std::string partition;  // hash:1/3, balanced:1/3
  std::string durations;  // a file
  std::string rerun;      // failed

  // Instead of a run.
  bool list = false;
  std::string debug;     // a test
  std::string debugger;  // gdb

  // The targets.
  std::string framework;
  std::string python;
  std::vector<std::string> preload;
  std::vector<std::string> arguments;
  bool cold = false;
  bool why = false;

  // The reports.
  std::string junit;
  std::string trace;
  std::string html;
  std::string color;  // auto, always, never
  std::optional<bool> verbose;

  bool private_daemon = false;
};

}  // namespace forkserver::harness
