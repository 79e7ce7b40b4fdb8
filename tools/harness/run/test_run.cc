#include "tools/harness/run/test_run.h"

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "tools/forkserver/signal_pipe.h"
#include "tools/harness/bazel/bazel_protocol.h"
#include "tools/harness/plan/durations.h"
#include "tools/harness/plan/last_run.h"
#include "tools/harness/plan/run_plan.h"
#include "tools/harness/plan/state_folder.h"
#include "tools/harness/plan/test_environment.h"
#include "tools/harness/run/debug_run.h"
#include "tools/harness/run/listing.h"
#include "tools/harness/run/recorder.h"
#include "tools/harness/run/run_daemon.h"
#include "tools/harness/run/run_folder.h"
#include "tools/harness/run/runner.h"
#include "tools/harness/targets/target.h"

namespace forkserver::harness {
namespace {

constexpr int kFailures = 1;
constexpr int kUsage = 2;
constexpr int kNoTests = 4;
constexpr int kInfrastructure = 125;
constexpr int kInterrupted = 130;

// A signal ends that sooner.
constexpr std::chrono::minutes kFinishPatience{10};

using Targets = std::vector<std::unique_ptr<Target>>;

std::int64_t UnixMilliseconds() {
  timespec now = {};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

std::string MakeRunId() {
  constexpr char kDigits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
  std::string id;
  auto number = static_cast<std::uint64_t>(UnixMilliseconds());
  for (; number > 0; number /= 36) id.insert(id.begin(), kDigits[number % 36]);
  return id + "." + std::to_string(::getpid());
}

std::string TemporaryFolder() {
  for (const char* name : {"TEST_TMPDIR", "TMPDIR"}) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value == '/') return value;
  }
  return "/tmp";
}

class Run {
 public:
  explicit Run(const TestRunRequest& request) : request_(request) {}

  int Go() {
    if (!ReadSettings() || !OpenReports()) return kUsage;
    if (!OpenState() || !Connect() || !CatchSignals()) return kInfrastructure;
    if (!FindTargets()) return kUsage;
    Prepare();
    if (!IsRun()) {
      if (WasInterrupted()) {
        daemon_->EndAtOnce();
        return kInterrupted;
      }
      signals_.reset();
    }
    planned_ = MakePlan(settings_, std::move(tests_), durations_, last_run_);
    planned_.plan.run_id = MakeRunId();
    planned_.plan.begun_unix_ms = UnixMilliseconds();
    if (settings_.options.list) return List();
    if (!settings_.options.debug.empty()) return Debug();
    return RunThem();
  }

 private:
  bool ReadSettings() {
    TestOptions options = request_.options;
    if (!HeedBazel(options)) return false;
    SettingsOutcome outcome =
        MakeSettings(options, std::filesystem::current_path().string());
    settings_ = std::move(outcome.settings);
    for (const std::string& error : outcome.errors) request_.print_error(error);
    return outcome.errors.empty();
  }

  // What Bazel says counts where the command line says nothing.
  bool HeedBazel(TestOptions& options) {
    auto bazel = BazelProtocol::FromEnvironment(OwnVariables());
    if (!bazel) return Check(bazel.error());
    bazel_ = *std::move(bazel);
    if (!bazel_) return true;
    if (options.filters.empty() && !bazel_->filter().empty()) {
      options.filters = {bazel_->filter()};
    }
    if (bazel_->fail_fast() && !options.max_fail) options.fail_fast = true;
    if (options.junit.empty()) options.junit = bazel_->xml_file();
    return Check(bazel_->Begin());
  }

  bool Check(const Result<void>& result) {
    if (!result) request_.print_error(result.error().ToString());
    return result.has_value();
  }

  // Before anything takes time: a report that cannot be written is an error
  // of usage.
  bool OpenReports() {
    if (!IsRun()) return true;
    return Check(request_.make_reporters(settings_, reporters_));
  }
  bool IsRun() const {
    return !settings_.options.list && settings_.options.debug.empty();
  }

  bool FindTargets() {
    const TestOptions& options = settings_.options;
    target_options_.framework = options.framework;
    target_options_.env = MakeTestEnvironment();
    target_options_.cwd = std::filesystem::current_path().string();
    target_options_.preload = options.preload;
    if (!options.python.empty()) target_options_.python = options.python;
    target_options_.arguments = options.arguments;
    target_options_.seed =
        static_cast<std::int64_t>(settings_.shuffle.value_or(0));
    target_options_.debug = !options.debug.empty();
    target_options_.cold = options.cold;
    // One that is in the daemon of the session is there for the next run too.
    target_options_.keep_zygote =
        !daemon_->is_private() && !state_folder_.empty();
    target_options_.state_directory = state_folder_;
    bool found = true;
    std::set<std::string> labels;
    for (const std::string& path : options.targets) {
      auto target = MakeTarget(path, target_options_);
      if (!target) {
        request_.print_error(target.error().ToString());
        found = false;
      } else if (!labels.insert((*target)->label()).second) {
        request_.print_error("the target " + path + " is named twice");
        found = false;
      } else {
        targets_.push_back(*std::move(target));
      }
    }
    return found;
  }

  // What cannot be read or written there makes no difference to verdicts: it
  // is a warning.
  bool OpenState() {
    Result<std::string> folder = StateFolder(settings_.root);
    if (folder && !folder->empty()) {
      state_folder_ = *folder;
      durations_path_ = *folder + "/durations";
      last_run_path_ = *folder + "/failed";
    } else if (!folder) {
      reporters_.OnWarning(folder.error().ToString());
    }
    const std::string& named = settings_.options.durations;
    Result<Durations> durations =
        Durations::Read(named.empty() ? durations_path_ : named);
    if (durations) {
      durations_ = *std::move(durations);
    } else if (!named.empty()) {
      request_.print_error("--durations: " + durations.error().message);
      return false;
    }
    // All parts of a balanced run must read the same times, also those that
    // begin when others have ended.
    const bool balanced = settings_.partition && settings_.partition->kind ==
                                                     Partition::Kind::kBalanced;
    if (balanced || !named.empty()) durations_path_.clear();
    if (auto last = LastRun::Read(last_run_path_)) last_run_ = *std::move(last);
    return true;
  }

  bool Connect() {
    Result<RunFolder> folder = RunFolder::Make(TemporaryFolder());
    if (!folder) return Check(folder.error());
    folder_.emplace(*std::move(folder));
    DaemonChoice choice;
    choice.socket_path = request_.socket;
    choice.must_serve = !request_.socket.empty();
    // Inside `bazel test` nothing of the session is used.
    choice.always_private = bazel_ || settings_.options.private_daemon;
    choice.private_folder = folder_->path();
    Result<RunDaemon> daemon = RunDaemon::Connect(std::move(choice));
    if (!daemon) return Check(daemon.error());
    daemon_.emplace(*std::move(daemon));
    return true;
  }

  // Before and after the tests everything waits for the daemon.
  bool CatchSignals() {
    auto signals = cli::SignalPipe::Open({SIGINT, SIGTERM, SIGHUP, SIGUSR1});
    if (!signals) return Check(signals.error());
    signals_.emplace(*std::move(signals));
    cli::SignalPipe::EndCallsOver(daemon_->client().descriptor());
    return true;
  }

  bool WasInterrupted() {
    for (const int signal : signals_->Take()) {
      // Of SIGUSR1 there is nothing to show; SIGTSTP is the runner's.
      if (signal != SIGUSR1 && signal != SIGTSTP) interrupted_ = true;
    }
    return interrupted_;
  }

  // A target that cannot be made ready does not keep the others from running.
  void Prepare() {
    for (const auto& target : targets_) {
      auto ready = target->Prepare(daemon_->client());
      if (WasInterrupted()) {
        errors_.push_back(target->label() +
                          ": interrupted while it was set up");
        if (!IsRun()) request_.print_error(errors_.back());
        return;
      }
      if (!ready) {
        errors_.push_back(target->label() + ": " + ready.error().ToString());
        if (!IsRun()) request_.print_error(errors_.back());
        continue;
      }
      for (const std::string& error : ready->errors) {
        broken_.push_back(target->label() + ": " + error);
        if (!IsRun()) request_.print_error(broken_.back());
      }
      reporters_.OnTargetReady(*ready);
      tests_.insert(tests_.end(), target->tests().begin(),
                    target->tests().end());
    }
  }

  int List() {
    request_.print(request_.json ? ListAsJson(planned_.plan)
                                 : ListAsText(planned_.plan));
    if (!errors_.empty()) return kInfrastructure;
    if (!broken_.empty()) return kFailures;
    return HasTests() ? 0 : kNoTests;
  }

  // Of few tests some parts have none, which is as it should be.
  bool HasTests() const {
    return !planned_.plan.tests.empty() || planned_.in_other_parts > 0;
  }

  int Debug() {
    if (!errors_.empty()) return kInfrastructure;
    DebugRequest debug;
    debug.test = settings_.options.debug;
    debug.debugger = settings_.options.debugger;
    debug.env = target_options_.env;
    debug.folder = folder_->path();
    debug.print_error = request_.print_error;
    return DebugTest(debug, daemon_->client(), targets_, planned_.plan);
  }

  int RunThem() {
    RunnerOptions options;
    options.slots = settings_.jobs;
    options.leaks = settings_.leaks;
    options.max_fail = settings_.max_fail;
    options.stop_reason = settings_.max_fail_asked_by;
    options.repeat = settings_.repeat;
    options.stress_for = settings_.stress;
    if (!settings_.capture) {
      options.output = settings_.jobs == 1 && !request_.json
                           ? RunnerOptions::Output::kInherit
                           : RunnerOptions::Output::kLive;
    }
    options.env = target_options_.env;
    options.folder = folder_->path();
    if (bazel_) options.run_time = bazel_->run_time();
    reporters_.AddFirst(
        std::make_unique<Recorder>(std::move(durations_), durations_path_,
                                   std::move(last_run_), last_run_path_));
    reporters_.OnRunBegan(planned_.plan);
    PlanTargets();
    RunSummary summary;
    summary.planned = summary.not_run = planned_.plan.tests.size();
    if (WasInterrupted()) {
      summary.stopped_because = "interrupted before the first of them began";
    } else {
      cli::SignalPipe::EndCallsOver(-1);
      Runner runner(options, *daemon_, *signals_, targets_, planned_,
                    reporters_);
      Result<RunSummary> ran = runner.Run();
      if (ran) {
        summary = *std::move(ran);
      } else {
        errors_.push_back(ran.error().ToString());
      }
    }
    FinishTargets(summary.interrupted || interrupted_);
    summary.interrupted = summary.interrupted || WasInterrupted();
    for (const auto* list : {&errors_, &broken_}) {
      summary.errors.insert(summary.errors.end(), list->begin(), list->end());
    }
    summary.exit_code = ExitCodeOf(summary);
    if (summary.exit_code == kNoTests && HasTests()) summary.exit_code = 0;
    const bool counts = summary.exit_code == 0 ||
                        summary.exit_code == kNoTests ||
                        summary.exit_code == kInfrastructure;
    // What could not be loaded is a failure of the tests.
    if (counts && !broken_.empty()) summary.exit_code = kFailures;
    reporters_.EndRun(summary);
    if (bazel_) bazel_->End(summary);
    return summary.exit_code;
  }

  // What is set up here is torn down in the end: a first signal lets it be.
  void PlanTargets() {
    if (WasInterrupted()) return;
    cli::SignalPipe::EndCallsOver(daemon_->client().descriptor(),
                                  /*let_pass=*/1);
    for (const auto& target : targets_) {
      std::vector<const TestCase*> tests;
      for (const TestCase& test : planned_.plan.tests) {
        if (test.target == target->label()) tests.push_back(&test);
      }
      if (tests.empty()) continue;
      auto planned = target->Plan(daemon_->client(), tests);
      if (cli::SignalPipe::HasEndedCalls()) {
        errors_.push_back(target->label() +
                          ": interrupted while its fixtures were set up; they "
                          "are not torn down");
      } else if (!planned) {
        errors_.push_back(target->label() + ": " + planned.error().ToString());
      }
      if (WasInterrupted()) return;
    }
  }

  // What goes wrong now is a failure of the tests, as what did not load. The
  // second signal of the run ends it.
  void FinishTargets(bool interrupted) {
    if (!cli::SignalPipe::HasEndedCalls()) {
      cli::SignalPipe::EndCallsOver(daemon_->client().descriptor(),
                                    interrupted ? 0 : 1);
    }
    for (const auto& target : targets_) {
      TargetEnd end = target->Finish(daemon_->client(), kFinishPatience);
      for (const std::string& note : end.notes) {
        reporters_.OnWarning(target->label() + ": " + note);
      }
      for (const std::string& error : end.errors) {
        broken_.push_back(target->label() + ": " + error);
      }
    }
    if (cli::SignalPipe::HasEndedCalls()) daemon_->EndAtOnce();
  }

  const TestRunRequest& request_;
  Settings settings_;
  std::optional<BazelProtocol> bazel_;
  FanOut reporters_;
  TargetOptions target_options_;
  Targets targets_;
  Durations durations_;
  std::string state_folder_;  // empty: there is none
  std::string durations_path_;
  LastRun last_run_;
  std::string last_run_path_;
  std::optional<RunFolder> folder_;
  std::optional<RunDaemon> daemon_;
  std::optional<cli::SignalPipe> signals_;
  bool interrupted_ = false;  // before the tests began, or after them
  std::vector<TestCase> tests_;
  PlannedRun planned_;
  std::vector<std::string> errors_;  // targets that could not be made ready
  std::vector<std::string> broken_;  // parts of targets that did not load
};

}  // namespace

int RunTests(const TestRunRequest& request) { return Run(request).Go(); }

}  // namespace forkserver::harness
