#include "tools/harness/targets/python_target.h"

#include <cctype>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

#include "sdk/cpp/testing/report_page.h"
#include "sdk/process/platform.h"
#include "sdk/protocol/codec.h"
#include "tools/harness/targets/fixture_zygotes.h"
#include "tools/harness/targets/page_words.h"
#include "tools/harness/targets/python_zygote.h"

namespace forkserver::harness {
namespace {

constexpr char kListEntry[] = "forkserver.test_list";
constexpr char kRunEntry[] = "forkserver.test_run";
constexpr char kPytest[] = "pytest";

std::string PathOf(const std::string& target) {
  return target.substr(0, target.find("::"));
}

bool EndsAsPython(const std::string& path) {
  constexpr std::string_view kEnd = ".py";
  return path.size() > kEnd.size() &&
         path.compare(path.size() - kEnd.size(), kEnd.size(), kEnd) == 0;
}

// Of a module, perhaps with a class and a test of it.
bool IsDottedName(const std::string& text) {
  if (EndsAsPython(text)) return false;
  bool dot = false;
  char before = '.';
  for (const char c : text) {
    const bool digit = std::isdigit(static_cast<unsigned char>(c)) != 0;
    if (c == '.') {
      if (before == '.') return false;
      dot = true;
    } else if (!std::isalpha(static_cast<unsigned char>(c)) && c != '_' &&
               static_cast<unsigned char>(c) < 0x80 &&
               !(digit && before != '.')) {
      return false;
    }
    before = c;
  }
  return dot && before != '.';
}

class PythonTarget final : public Target {
 public:
  PythonTarget(std::string label, TargetOptions options)
      : label_(std::move(label)),
        options_(std::move(options)),
        zygote_(label_, options_) {}

  const std::string& label() const override { return label_; }
  const std::vector<TestCase>& tests() const override { return tests_; }

  Result<TargetReady> Prepare(Client& client) override;
  Result<void> Plan(Client& client,
                    const std::vector<const TestCase*>& tests) override;
  bool CanLaunch(Client& client,
                 const std::vector<const TestCase*>& tests) override;
  Launch MakeLaunch(const std::vector<const TestCase*>& tests,
                    const AttemptFiles& files) override;
  FrameworkReport ReadReport(const std::vector<const TestCase*>& tests,
                             const AttemptFiles& files,
                             const ExitRecord& exit) override;
  Result<void> Revive(Client& client) override;
  TargetEnd Finish(Client& client, std::chrono::milliseconds patience) override;

 private:
  std::string label_;
  TargetOptions options_;
  PythonZygote zygote_;
  std::string framework_;
  std::vector<TestCase> tests_;
  std::optional<FixtureZygotes> fixtures_;  // of pytest, after Plan
};

Result<TargetReady> PythonTarget::Prepare(Client& client) {
  TargetReady ready;
  ready.label = label_;
  ready.begun_ns = MonotonicNanoseconds();
  if (auto started = zygote_.Start(client, ready.why); !started) {
    return started.error();
  }
  auto bytes = zygote_.Call(client, kListEntry);
  if (!bytes) return bytes.error();
  auto list = protocol::DecodeBody<protocol::TestList>(*bytes);
  if (!list) return list.error();
  framework_ = list->framework;
  tests_.clear();
  for (protocol::ListedTest& listed : list->tests) {
    std::string id = label_ + "::" + listed.name;
    tests_.push_back({std::move(id), label_, std::move(listed)});
  }
  ready.framework = framework_;
  ready.warm = true;
  ready.tests = tests_.size();
  ready.errors = std::move(list->errors);
  ready.ended_ns = MonotonicNanoseconds();
  return ready;
}

Result<void> PythonTarget::Plan(Client& client,
                                const std::vector<const TestCase*>& tests) {
  if (framework_ != kPytest || tests.empty()) return {};
  std::vector<std::string> names;
  names.reserve(tests.size());
  for (const TestCase* test : tests) names.push_back(test->name());
  fixtures_.emplace(zygote_.name(), options_);
  return fixtures_->Plan(client, names);
}

bool PythonTarget::CanLaunch(Client& client,
                             const std::vector<const TestCase*>& tests) {
  return !fixtures_ || fixtures_->IsReady(client, tests.front()->name());
}

Launch PythonTarget::MakeLaunch(const std::vector<const TestCase*>& tests,
                                const AttemptFiles&) {
  protocol::TestRun run;
  for (const TestCase* test : tests) run.tests.push_back(test->name());
  run.report_fd = kReportFd;
  run.seed = options_.seed;
  run.debug = options_.debug;
  run.arguments = options_.arguments;
  ForkOptions fork = zygote_.Fork(kRunEntry);
  if (fixtures_) fork.zygote = fixtures_->Choose(tests.front()->name());
  fork.args = protocol::EncodeBody(run);
  return fork;
}

FrameworkReport PythonTarget::ReadReport(
    const std::vector<const TestCase*>& tests, const AttemptFiles& files,
    const ExitRecord&) {
  return WordsOf(files.page->Read(), tests);
}

Result<void> PythonTarget::Revive(Client& client) {
  // The old one may be there and only one of its fixtures' zygotes be gone;
  // whatever it was that ended one may have harmed others too.
  (void)client.StopZygote(zygote_.name());
  if (auto started = zygote_.StartAnother(client); !started) return started;
  return fixtures_ ? fixtures_->Revive(client, zygote_.name()) : Result<void>();
}

TargetEnd PythonTarget::Finish(Client& client,
                               std::chrono::milliseconds patience) {
  TargetEnd end;
  if (fixtures_) {
    end.errors = fixtures_->Finish(client, patience);
    end.notes = fixtures_->notes();
    fixtures_.reset();
  }
  return end;
}

}  // namespace

bool IsPythonTarget(const std::string& path) {
  const std::string file = PathOf(path);
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored)) return true;
  if (EndsAsPython(file)) return true;
  return !std::filesystem::exists(file, ignored) && IsDottedName(path);
}

Result<std::unique_ptr<Target>> MakePythonTarget(const std::string& path,
                                                 const TargetOptions& options) {
  const std::string file = PathOf(path);
  std::error_code ignored;
  if (!std::filesystem::exists(std::filesystem::path(options.cwd) / file,
                               ignored) &&
      !IsDottedName(path)) {
    return MakeError(error_code::kBadRequest,
                     "there is no file or folder '" + file + "'",
                     "a Python target is a file, a folder, FILE.py::NAME, or a "
                     "module with dots");
  }
  return std::unique_ptr<Target>(std::make_unique<PythonTarget>(path, options));
}

}  // namespace forkserver::harness
