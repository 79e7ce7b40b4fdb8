#include "tools/harness/targets/warm_program.h"

#include <chrono>
#include <utility>
#include <vector>

#include "sdk/cpp/testing/report_page.h"
#include "sdk/process/platform.h"
#include "sdk/protocol/codec.h"
#include "tools/harness/targets/page_words.h"
#include "tools/harness/targets/program_guard.h"
#include "tools/harness/targets/test_zygote.h"

namespace forkserver::harness {
namespace {

constexpr char kListEntry[] = "forkserver.test_list";
constexpr char kRunEntry[] = "forkserver.test_run";
constexpr std::chrono::seconds kListTimeout{120};

class WarmProgram final : public Target {
 public:
  WarmProgram(std::string label, std::string path, std::string framework,
              TargetOptions options)
      : label_(std::move(label)),
        path_(std::move(path)),
        framework_(std::move(framework)),
        options_(std::move(options)),
        zygote_(path_, options_) {}

  const std::string& label() const override { return label_; }
  const std::vector<TestCase>& tests() const override { return tests_; }

  Result<TargetReady> Prepare(Client& client) override {
    TargetReady ready;
    ready.label = label_;
    ready.framework = framework_;
    ready.warm = true;
    ready.begun_ns = MonotonicNanoseconds();
    auto guard = ProgramGuard::Begin({path_});
    if (!guard) return guard.error();
    guard_ = *std::move(guard);
    if (auto started = zygote_.Start(client, ready.why); !started) {
      return started.error();
    }
    if (auto added = guard_.Add(zygote_.files()); !added) return added.error();
    auto list = ListTests(client);
    if (!list) return list.error();
    for (protocol::ListedTest& listed : list->tests) {
      std::string id = label_ + "::" + listed.name;
      tests_.push_back({std::move(id), label_, std::move(listed)});
    }
    ready.tests = tests_.size();
    ready.errors = std::move(list->errors);
    ready.ended_ns = MonotonicNanoseconds();
    return ready;
  }

  Launch MakeLaunch(const std::vector<const TestCase*>& tests,
                    const AttemptFiles&) override {
    protocol::TestRun run;
    for (const TestCase* test : tests) run.tests.push_back(test->name());
    run.report_fd = kReportFd;
    run.seed = options_.seed;
    run.debug = options_.debug;
    ForkOptions fork;
    fork.zygote = zygote_.name();
    fork.entry = kRunEntry;
    fork.args = protocol::EncodeBody(run);
    fork.cwd = options_.cwd;
    return fork;
  }

  FrameworkReport ReadReport(const std::vector<const TestCase*>& tests,
                             const AttemptFiles& files,
                             const ExitRecord&) override {
    FrameworkReport report = WordsOf(files.page->Read(), tests);
    report.infrastructure = guard_.DescribeChange();
    return report;
  }

  Result<void> Revive(Client& client) override {
    if (const std::string changed = guard_.DescribeChange(); !changed.empty()) {
      return MakeError(error_code::kZygoteFailed, changed);
    }
    return zygote_.StartAnother(client);
  }

 private:
  Result<protocol::TestList> ListTests(Client& client) {
    ForkOptions fork;
    fork.zygote = zygote_.name();
    fork.entry = kListEntry;
    fork.env = options_.env;
    fork.cwd = options_.cwd;
    fork.null_streams = true;
    fork.timeout = kListTimeout;
    auto call = client.Call(fork);
    if (!call) return call.error();
    if (call->exit.code != 0) {
      return MakeError(error_code::kZygoteFailed,
                       path_ + ": its tests could not be listed",
                       "see forkserver why " + call->exit.id);
    }
    return protocol::DecodeBody<protocol::TestList>(call->result);
  }

  std::string label_;
  std::string path_;
  std::string framework_;
  TargetOptions options_;
  TestZygote zygote_;  // refers to the two above
  ProgramGuard guard_;
  std::vector<TestCase> tests_;
};

}  // namespace

std::unique_ptr<Target> MakeWarmProgram(std::string label, std::string path,
                                        std::string framework,
                                        TargetOptions options) {
  return std::make_unique<WarmProgram>(std::move(label), std::move(path),
                                       std::move(framework),
                                       std::move(options));
}

}  // namespace forkserver::harness
