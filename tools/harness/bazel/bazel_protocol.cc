#include "tools/harness/bazel/bazel_protocol.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "sdk/base/unique_fd.h"

namespace forkserver::harness {
namespace {

using Variables = std::map<std::string, std::string>;

std::string ValueOf(const Variables& variables, const std::string& name) {
  const auto found = variables.find(name);
  return found == variables.end() ? std::string() : found->second;
}

// A number of the environment; 0 when it is not set.
Result<int> NumberOf(const Variables& variables, const std::string& name) {
  const std::string text = ValueOf(variables, name);
  if (text.empty()) return 0;
  int number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    return MakeError(error_code::kBadRequest,
                     name + "='" + text + "' is not a number");
  }
  return number;
}

Result<void> WriteFile(const std::string& path, std::string_view text) {
  const UniqueFd fd(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!fd) return SystemError("open(" + path + ")", errno);
  while (!text.empty()) {
    const ssize_t written = ::write(fd.get(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return SystemError("write(" + path + ")", errno);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

// For the reports and the end of what runs: a fifth of the time, within
// reason.
std::chrono::milliseconds RunTime(int timeout_s) {
  using std::chrono::milliseconds;
  using std::chrono::seconds;
  const milliseconds whole = seconds(timeout_s);
  const milliseconds reserve =
      std::clamp<milliseconds>(whole / 5, milliseconds(100), seconds(15));
  return std::max(whole - reserve, milliseconds(1));
}

}  // namespace

Result<std::optional<BazelProtocol>> BazelProtocol::FromEnvironment(
    const Variables& variables) {
  if (ValueOf(variables, "TEST_TARGET").empty() ||
      ValueOf(variables, "TEST_TMPDIR").empty()) {
    return std::optional<BazelProtocol>();
  }
  BazelProtocol bazel;
  bazel.filter_ = ValueOf(variables, "TESTBRIDGE_TEST_ONLY");
  bazel.fail_fast_ =
      ValueOf(variables, "TESTBRIDGE_TEST_RUNNER_FAIL_FAST") == "1";
  bazel.xml_file_ = ValueOf(variables, "XML_OUTPUT_FILE");
  bazel.outputs_folder_ = ValueOf(variables, "TEST_UNDECLARED_OUTPUTS_DIR");
  bazel.shard_status_file_ = ValueOf(variables, "TEST_SHARD_STATUS_FILE");
  bazel.premature_exit_file_ = ValueOf(variables, "TEST_PREMATURE_EXIT_FILE");
  bazel.warnings_file_ = ValueOf(variables, "TEST_WARNINGS_OUTPUT_FILE");
  bazel.infrastructure_file_ =
      ValueOf(variables, "TEST_INFRASTRUCTURE_FAILURE_FILE");
  auto timeout = NumberOf(variables, "TEST_TIMEOUT");
  if (!timeout) return timeout.error();
  if (*timeout > 0) bazel.run_time_ = RunTime(*timeout);
  return std::optional<BazelProtocol>(std::move(bazel));
}

Result<void> BazelProtocol::Begin() {
  for (const std::string* const file :
       {&shard_status_file_, &premature_exit_file_}) {
    if (file->empty()) continue;
    if (auto written = WriteFile(*file, ""); !written) return written;
  }
  return {};
}

void BazelProtocol::End(const RunSummary& summary) {
  std::string text;
  if (!warnings_file_.empty() && summary.flaky > 0) {
    static_cast<void>(
        WriteFile(warnings_file_, std::to_string(summary.flaky) +
                                      " tests passed only when they were "
                                      "tried again\n"));
  }
  if (!infrastructure_file_.empty() &&
      (summary.infrastructure > 0 || !summary.errors.empty())) {
    for (const std::string& error : summary.errors) text += error + "\n";
    if (text.empty()) {
      text = std::to_string(summary.infrastructure) + " tests could not run\n";
    }
    static_cast<void>(WriteFile(infrastructure_file_, text));
  }
  if (!premature_exit_file_.empty()) ::unlink(premature_exit_file_.c_str());
}

}  // namespace forkserver::harness
