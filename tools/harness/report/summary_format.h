// Words, numbers and times of a run, as reports for people show them. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tools/harness/model/test_model.h"

namespace forkserver::harness {

// "0.012s", "12.3s", "1m05s", "2h07m".
std::string Duration(std::int64_t us);
// The same in a column.
std::string PaddedDuration(std::int64_t us);
// "0:07", "12:34", "1:02:03".
std::string Clock(std::int64_t us);

// "PASS", "FAIL", "SKIP", "CRASH", "TIMEOUT", "LEAK", "FLAKY", "ERROR".
std::string_view WordOf(Verdict verdict);
// A verdict that makes the run fail.
bool IsBad(Verdict verdict);

// How often a verdict was given, while a run goes on.
struct Tally {
  std::size_t ended = 0;
  std::size_t passed = 0;  // flaky included
  std::size_t skipped = 0;
  std::size_t flaky = 0;
  std::size_t bad = 0;
  void Add(Verdict verdict);
};

// "4,990 passed (2 flaky), 3 failed, 1 crashed, 1 timed out, 5 skipped".
std::string Counts(const RunSummary& summary);

// "tests/a_test.cc:42", or empty.
std::string Place(const protocol::TestFailure& failure);

// Why an attempt did not pass, on one line: its reason, or where and what the
// first failure is. Empty for a pass.
std::string ShortReason(const Attempt& attempt);

// All that is known besides the output: failures with their places, leaks,
// the backtrace. Lines, as the test wrote them: not safe for anything.
std::string Details(const Attempt& attempt);

}  // namespace forkserver::harness
