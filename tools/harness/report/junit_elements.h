// The elements of a JUnit file as XML text. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/harness/model/test_model.h"

namespace forkserver::harness {

// "12.345678"
std::string JunitSeconds(std::int64_t us);
// "2026-01-31T12:00:00Z"
std::string JunitTime(std::int64_t unix_ms);

using JunitAttributes = std::vector<std::pair<std::string_view, std::string>>;
// "<name a="1">", or "<name a="1"/>" for `empty`.
std::string JunitTag(std::string_view name, const JunitAttributes& attributes,
                     bool empty = false);

// How a verdict counts.
enum class JunitKind { kPassed, kSkipped, kFailure, kError };
JunitKind JunitKindOf(Verdict verdict);
JunitKind JunitKindOf(const TestResult& result);

// <testcase>...</testcase>
std::string JunitCase(const TestCase& test, const TestResult& result,
                      bool output_of_passed);
// One that was not run.
std::string JunitNotRun(const TestCase& test, const std::string& why);
// Something that went wrong beside the tests, as a test that did.
std::string JunitErrorCase(const std::string& name, const std::string& target,
                           const std::string& message);

}  // namespace forkserver::harness
