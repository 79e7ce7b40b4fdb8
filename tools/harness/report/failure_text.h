// What a terminal shows of tests that did not pass. Pure; lines that are safe
// and end with '\n'.
#pragma once

#include <string>

#include "tools/harness/model/reporter.h"
#include "tools/terminal/terminal_look.h"

namespace forkserver::harness {

// "FAIL     0.012s  target::name  note  why". Where the name leaves no room for
// the reason on a line of the terminal it is left out, or has its own line.
enum class Reason { kIfItFits, kOwnLine };
std::string VerdictLine(const TestCase& test, Verdict verdict,
                        const Attempt& attempt, const std::string& note,
                        Reason where, const TerminalLook& look);

// All that is known of a test: each attempt with its reason, failures, leaks,
// backtrace and output.
std::string FailureText(const TestCase& test, const TestResult& result,
                        const TerminalLook& look);

// The end of what a running test wrote so far.
std::string RunningOutput(const RunningTest& running, const TerminalLook& look);

// "── words ───────" as wide as the terminal, or as a page of text.
std::string Rule(const std::string& safe_words, Paint paint,
                 const TerminalLook& look);

}  // namespace forkserver::harness
