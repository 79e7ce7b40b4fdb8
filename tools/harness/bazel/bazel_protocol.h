// What `bazel test` and a test tell each other: its "test encyclopedia", by
// environment variables and files.
//
//   auto bazel = BazelProtocol::FromEnvironment(variables);
//   if (*bazel) { (*bazel)->Begin(); ...; (*bazel)->End(summary); }
#pragma once

#include <forkserver/result.h>

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "tools/harness/model/test_model.h"

namespace forkserver::harness {

class BazelProtocol {
 public:
  // nullopt: this is not a test of Bazel (no TEST_TARGET, no TEST_TMPDIR).
  // An error names a variable that makes no sense.
  static Result<std::optional<BazelProtocol>> FromEnvironment(
      const std::map<std::string, std::string>& variables);

  // TESTBRIDGE_TEST_ONLY: `--test_filter` of the command line, or empty.
  const std::string& filter() const { return filter_; }
  // TESTBRIDGE_TEST_RUNNER_FAIL_FAST.
  bool fail_fast() const { return fail_fast_; }
  // XML_OUTPUT_FILE: a JUnit report, or empty.
  const std::string& xml_file() const { return xml_file_; }
  // TEST_UNDECLARED_OUTPUTS_DIR: for whatever else the run leaves, or empty.
  const std::string& outputs_folder() const { return outputs_folder_; }
  // TEST_TIMEOUT: when the run should stop by itself, so that its reports are
  // whole when Bazel would end it; zero: never.
  std::chrono::milliseconds run_time() const { return run_time_; }
  // Says that shards are heeded (they are: see Partition), and until End that
  // an end of this process is premature. An error: a file cannot be made.
  Result<void> Begin();
  // The run is over. What kept tests from running goes to Bazel's file of
  // infrastructure failures; that some were flaky, to
  // its file of warnings.
  void End(const RunSummary& summary);

 private:
  BazelProtocol() = default;

  std::string filter_;
  bool fail_fast_ = false;
  std::string xml_file_;
  std::string outputs_folder_;
  std::string shard_status_file_;
  std::string premature_exit_file_;
  std::string warnings_file_;
  std::string infrastructure_file_;
  std::chrono::milliseconds run_time_{0};
};

}  // namespace forkserver::harness
