#include "sdk/cpp/testing/whole_run_variables.h"

#include <algorithm>
#include <iterator>

namespace forkserver {
namespace {

constexpr std::string_view kNames[] = {
    "TEST_PREMATURE_EXIT_FILE", "TEST_SHARD_INDEX", "TEST_SHARD_STATUS_FILE",
    "TEST_TOTAL_SHARDS",        "XML_OUTPUT_FILE",
};

constexpr std::string_view kOfOneTest[] = {
    "GTEST_CATCH_EXCEPTIONS",
    "GTEST_COLOR",
    "GTEST_DEATH_TEST_STYLE",
    "GTEST_DEATH_TEST_USE_FORK",
    "GTEST_PRINT_TIME",
    "GTEST_PRINT_UTF8",
    "GTEST_SHOW_INTERNAL_STACK_FRAMES",
    "GTEST_STACK_TRACE_DEPTH",
};

bool StartsWith(std::string_view text, std::string_view beginning) {
  return text.substr(0, beginning.size()) == beginning;
}

template <typename Names>
bool Has(const Names& names, std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

}  // namespace

bool IsForWholeRun(std::string_view variable) {
  const std::string_view name = variable.substr(0, variable.find('='));
  if (StartsWith(name, "TESTBRIDGE_")) return true;
  if (StartsWith(name, "GTEST_")) return !Has(kOfOneTest, name);
  return Has(kNames, name);
}

}  // namespace forkserver
