// What holds for one test: its clock, its attempts, what it needs. Plain
// values, from the command line and forkserver.toml.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace forkserver::harness {

// What a test needs beside a slot.
struct Needs {
  // Names of which only one test at a time has each.
  std::vector<std::string> mutexes;
  // Counts as so many tests.
  int slots = 1;
  // At most so many tests of this group at a time; empty: of none.
  std::string group;
  int group_limit = 0;
};

// What it means that a test left a process or an open stream behind.
enum class LeakPolicy { kFail, kWarn, kOff };

struct Rules {
  std::chrono::milliseconds timeout{0};     // 0: none
  std::chrono::milliseconds slow_after{0};  // 0: never
  // Between TERM and KILL when it is stopped.
  std::chrono::milliseconds grace{0};
  int retries = 0;  // attempts beyond the first
  // Before the second attempt, and twice as long before each further one.
  std::chrono::milliseconds retry_delay{0};
  Needs needs;
};

}  // namespace forkserver::harness
