#include "tools/harness/targets/plain_program.h"

#include <utility>
#include <vector>

#include "sdk/process/platform.h"
#include "tools/harness/targets/program_guard.h"

namespace forkserver::harness {
namespace {

constexpr std::int64_t kSkipped = 77;

class PlainProgram final : public Target {
 public:
  PlainProgram(std::string label, std::string path, TargetOptions options)
      : label_(std::move(label)),
        path_(std::move(path)),
        options_(std::move(options)) {}

  const std::string& label() const override { return label_; }
  const std::vector<TestCase>& tests() const override { return tests_; }

  Result<TargetReady> Prepare(Client&) override {
    TargetReady ready;
    ready.label = label_;
    ready.framework = "program";
    ready.begun_ns = ready.ended_ns = MonotonicNanoseconds();
    auto guard = ProgramGuard::Begin({path_});
    if (!guard) return guard.error();
    guard_ = *std::move(guard);
    protocol::ListedTest listed;
    listed.name = path_.substr(path_.rfind('/') + 1);
    listed.file = path_;
    tests_ = {{label_ + "::" + listed.name, label_, listed}};
    ready.tests = 1;
    return ready;
  }

  Launch MakeLaunch(const std::vector<const TestCase*>&,
                    const AttemptFiles&) override {
    SpawnOptions spawn;
    spawn.argv = {path_};
    spawn.argv.insert(spawn.argv.end(), options_.arguments.begin(),
                      options_.arguments.end());
    spawn.env = options_.env;
    spawn.cwd = options_.cwd;
    return spawn;
  }

  FrameworkReport ReadReport(const std::vector<const TestCase*>&,
                             const AttemptFiles&,
                             const ExitRecord& exit) override {
    FrameworkReport report;
    report.by_exit_code = true;
    report.infrastructure = guard_.DescribeChange();
    FrameworkWord word;
    word.begun = true;
    if (exit.code) {
      report.complete = true;
      word.ended = true;
      if (*exit.code == 0) {
        word.status = "passed";
      } else if (*exit.code == kSkipped) {
        word.status = "skipped";
        word.skip_reason = "exit code 77";
      } else {
        word.status = "failed";
        word.failures.push_back(
            {"exit code " + std::to_string(*exit.code), "", 0, ""});
      }
    }
    report.tests.push_back(std::move(word));
    return report;
  }

 private:
  std::string label_;
  std::string path_;
  TargetOptions options_;
  ProgramGuard guard_;
  std::vector<TestCase> tests_;
};

}  // namespace

std::unique_ptr<Target> MakePlainProgram(std::string label, std::string path,
                                         TargetOptions options) {
  return std::make_unique<PlainProgram>(std::move(label), std::move(path),
                                        std::move(options));
}

}  // namespace forkserver::harness
