// A run that goes on, as lines: the bar of a terminal and the running tests
// below it, or one line of a log. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/harness/report/summary_format.h"
#include "tools/terminal/terminal_look.h"

namespace forkserver::harness {

struct RunningLine {
  std::string name;  // of any bytes
  std::int64_t elapsed_us = 0;
  int attempt = 1;
  bool slow = false;
};

struct Progress {
  std::size_t planned = 0;  // 0: nobody knows (--stress)
  Tally tally;
  std::int64_t elapsed_us = 0;
  std::int64_t left_us = 0;          // about; 0: nobody knows
  std::vector<RunningLine> running;  // longest first
};

// Each narrower than the terminal; the bar first. What does not fit is left
// out, the least important first.
std::vector<std::string> ProgressLines(const Progress& progress,
                                       const TerminalLook& look);

// "  0:10  1,234/5,000 tests, 2 failed; running: a (9.8s), b (3.1s) and 2 more"
std::string ProgressLogLine(const Progress& progress, const TerminalLook& look);

}  // namespace forkserver::harness
