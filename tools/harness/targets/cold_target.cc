#include "tools/harness/targets/cold_target.h"

#include <stdlib.h>
#include <unistd.h>  // mkdtemp of macOS

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sdk/process/platform.h"
#include "tools/harness/targets/loaded_libraries.h"
#include "tools/harness/targets/program_guard.h"

namespace forkserver::harness {
namespace {

constexpr char kXmlFile[] = "/report.xml";

// A folder for a listing.
class ScratchFolder {
 public:
  static Result<ScratchFolder> Make() {
    const char* parent = std::getenv("TMPDIR");
    std::string path = parent != nullptr && *parent == '/' ? parent : "/tmp";
    path += "/forkserver-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) {
      return SystemError("mkdtemp(" + path + ")", errno);
    }
    return ScratchFolder(std::move(path));
  }
  ScratchFolder(ScratchFolder&& other) noexcept
      : path_(std::exchange(other.path_, {})) {}
  ScratchFolder& operator=(ScratchFolder&&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  explicit ScratchFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

class ColdTarget final : public Target {
 public:
  ColdTarget(std::string label, std::string path,
             std::unique_ptr<ColdFramework> framework, TargetOptions options)
      : label_(std::move(label)),
        path_(std::move(path)),
        framework_(std::move(framework)),
        options_(std::move(options)) {}

  const std::string& label() const override { return label_; }
  const std::vector<TestCase>& tests() const override { return tests_; }

  Result<TargetReady> Prepare(Client& client) override {
    TargetReady ready;
    ready.label = label_;
    ready.framework = framework_->name();
    ready.begun_ns = MonotonicNanoseconds();
    std::vector<std::string> files = ListLibrariesOf(client, path_, options_);
    files.push_back(path_);
    auto guard = ProgramGuard::Begin(files);
    if (!guard) return guard.error();
    guard_ = *std::move(guard);
    auto folder = ScratchFolder::Make();
    if (!folder) return folder.error();
    const auto run = [&](const std::vector<std::string>& arguments) {
      Command command;
      command.argv = WithArguments(arguments);
      command.env = Environment();
      command.cwd = options_.cwd;
      return RunCommand(client, command);
    };
    auto listing = framework_->List(run, folder->path() + kXmlFile);
    if (!listing) return listing.error();
    for (protocol::ListedTest& listed : listing->tests) {
      indices_.emplace(listed.name, tests_.size());
      std::string id = label_ + "::" + listed.name;
      tests_.push_back({std::move(id), label_, std::move(listed)});
    }
    ready.tests = tests_.size();
    ready.errors = std::move(listing->errors);
    ready.ended_ns = MonotonicNanoseconds();
    return ready;
  }

  Launch MakeLaunch(const std::vector<const TestCase*>& tests,
                    const AttemptFiles& files) override {
    std::vector<std::string> arguments = framework_->Select(IndicesOf(tests));
    // For a person the framework speaks on the terminal.
    if (!options_.debug) {
      for (auto& each : framework_->Report(files.directory + kXmlFile)) {
        arguments.push_back(std::move(each));
      }
    }
    SpawnOptions spawn;
    spawn.argv = WithArguments(arguments);
    spawn.env = Environment();
    spawn.cwd = options_.cwd;
    return spawn;
  }

  FrameworkReport ReadReport(const std::vector<const TestCase*>& tests,
                             const AttemptFiles& files,
                             const ExitRecord& exit) override {
    if (options_.debug) return ByExitCode(tests.size(), exit);
    FrameworkReport report;
    report.tests.resize(tests.size());
    if (const std::string changed = guard_.DescribeChange(); !changed.empty()) {
      report.infrastructure = changed;
      return report;
    }
    const std::string path = files.directory + kXmlFile;
    auto document = XmlDocument::Read(path);
    if (!document) {
      // It was never written: that the process ended says more.
      if (document.error().error_number != ENOENT) {
        report.damage = document.error().ToString();
      }
      return report;
    }
    return framework_->Read(IndicesOf(tests), *document);
  }

 private:
  std::vector<std::string> WithArguments(
      const std::vector<std::string>& arguments) const {
    std::vector<std::string> argv = {path_};
    argv.insert(argv.end(), options_.arguments.begin(),
                options_.arguments.end());
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return argv;
  }

  std::vector<std::string> Environment() const {
    std::vector<std::string> env = options_.env;
    for (std::string& each : framework_->variables()) {
      env.push_back(std::move(each));
    }
    return env;
  }

  std::vector<std::size_t> IndicesOf(
      const std::vector<const TestCase*>& tests) const {
    std::vector<std::size_t> indices;
    indices.reserve(tests.size());
    for (const TestCase* test : tests) {
      indices.push_back(indices_.at(test->name()));
    }
    return indices;
  }

  static FrameworkReport ByExitCode(std::size_t tests, const ExitRecord& exit) {
    FrameworkReport report;
    report.tests.resize(tests);
    if (!exit.code) return report;
    for (FrameworkWord& word : report.tests) {
      word.begun = word.ended = true;
      word.status = *exit.code == 0 ? "passed" : "failed";
    }
    report.complete = report.by_exit_code = true;
    return report;
  }

  std::string label_;
  std::string path_;
  std::unique_ptr<ColdFramework> framework_;
  TargetOptions options_;
  ProgramGuard guard_;
  std::vector<TestCase> tests_;
  std::unordered_map<std::string, std::size_t> indices_;
};

}  // namespace

std::unique_ptr<Target> MakeColdTarget(std::string label, std::string path,
                                       std::unique_ptr<ColdFramework> framework,
                                       TargetOptions options) {
  return std::make_unique<ColdTarget>(std::move(label), std::move(path),
                                      std::move(framework), std::move(options));
}

}  // namespace forkserver::harness
