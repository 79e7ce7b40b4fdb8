#include "tools/harness/plan/test_environment.h"

#include <algorithm>
#include <string_view>

#include "sdk/process/platform.h"

namespace forkserver::harness {
namespace {

constexpr std::string_view kLeftOut[] = {
    "FORKSERVER_TEST_ATTEMPT",
    "FORKSERVER_TEST_NAME",
    "FORKSERVER_TEST_RUN_ID",
    "FORKSERVER_TEST_SLOT",
    "GTEST_FAIL_FAST",
    "GTEST_FILTER",
    "GTEST_OUTPUT",
    "GTEST_REPEAT",
    "GTEST_SHARD_INDEX",
    "GTEST_SHARD_STATUS_FILE",
    "GTEST_SHUFFLE",
    "GTEST_TOTAL_SHARDS",
    "TESTBRIDGE_TEST_ONLY",
    "TESTBRIDGE_TEST_RUNNER_FAIL_FAST",
    "TEST_INFRASTRUCTURE_FAILURE_FILE",
    "TEST_PREMATURE_EXIT_FILE",
    "TEST_SHARD_INDEX",
    "TEST_SHARD_STATUS_FILE",
    "TEST_TOTAL_SHARDS",
    "TEST_WARNINGS_OUTPUT_FILE",
    "XML_OUTPUT_FILE",
};

}  // namespace

std::vector<std::string> MakeTestEnvironment() {
  std::vector<std::string> environment;
  for (char** each = OwnEnvironment(); each != nullptr && *each != nullptr;
       ++each) {
    const std::string_view variable(*each);
    const std::string_view name = variable.substr(0, variable.find('='));
    if (std::find(std::begin(kLeftOut), std::end(kLeftOut), name) ==
        std::end(kLeftOut)) {
      environment.emplace_back(variable);
    }
  }
  return environment;
}

std::map<std::string, std::string> OwnVariables() {
  std::map<std::string, std::string> variables;
  for (char** each = OwnEnvironment(); each != nullptr && *each != nullptr;
       ++each) {
    const std::string_view variable(*each);
    const std::size_t equals = variable.find('=');
    if (equals == std::string_view::npos) continue;
    variables.emplace(variable.substr(0, equals), variable.substr(equals + 1));
  }
  return variables;
}

}  // namespace forkserver::harness
