// Shows a run that never was, in real time, through the reports: what tests of
// the terminal look at, and what pictures are made of.
//
//   replay_run [--tests N] [--slots N] [--slowness X] [--speed X]
//              [--junit F] [--json] [--trace F] [--html F] [--passing]
//              [--big-output BYTES] [--no-capture] [--colors]
//              [--crash-after N] [--hold] [--tame]
//
// --speed 0 does not wait. --tame: no odd bytes in names and output. --hold:
// the last running test never ends. After N results --crash-after ends the
// process by SIGSEGV. Keys and signals are those of `forkserver test`. Exits as
// it would.
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "tests/harness/synthetic_run.h"
#include "tools/harness/report/report_set.h"
#include "tools/terminal/keyboard.h"

namespace forkserver::harness {
namespace {

constexpr std::int64_t kTickUs = 100'000;

struct Options {
  SyntheticOptions run;
  ReportOptions reports;
  double speed = 1.0;
  bool hold = false;
  bool no_capture = false;
  std::size_t crash_after = 0;
};

// Signals that have come and nobody has looked at. poll(2) ends with them, or
// at the next tick.
volatile std::sig_atomic_t caught[NSIG];

void Catch(int signal) { caught[signal] = 1; }

std::int64_t NowNs() {
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

std::optional<Options> Parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const auto value = [&] { return i + 1 < argc ? argv[++i] : ""; };
    if (word == "--tests") {
      options.run.tests = std::strtoul(value(), nullptr, 10);
    } else if (word == "--slots") {
      options.run.slots = std::atoi(value());
    } else if (word == "--slowness") {
      options.run.slowness = std::atof(value());
    } else if (word == "--speed") {
      options.speed = std::atof(value());
    } else if (word == "--big-output") {
      options.run.big_output = std::strtoul(value(), nullptr, 10);
    } else if (word == "--crash-after") {
      options.crash_after = std::strtoul(value(), nullptr, 10);
    } else if (word == "--passing") {
      options.run.troubles = false;
    } else if (word == "--tame") {
      options.run.odd_bytes = false;
    } else if (word == "--hold") {
      options.hold = true;
    } else if (word == "--no-capture") {
      options.no_capture = true;
    } else if (word == "--colors") {
      options.reports.colors = ColorChoice::kAlways;
    } else if (word == "--junit") {
      options.reports.junit_path = value();
    } else if (word == "--trace") {
      options.reports.trace_path = value();
    } else if (word == "--html") {
      options.reports.html_path = value();
    } else if (word == "--json") {
      options.reports.json = true;
    } else {
      std::fprintf(stderr, "replay_run: unknown: %s\n", argv[i]);
      return std::nullopt;
    }
  }
  return options;
}

// The loop of a runner, with a script in place of workers.
class Replay {
 public:
  Replay(const Options& options, Reporter& reporter)
      : options_(options),
        run_(options.run),
        reporter_(reporter),
        keyboard_(STDIN_FILENO) {}

  int Run() {
    for (const TargetReady& target : run_.targets()) {
      reporter_.OnTargetReady(target);
    }
    reporter_.OnRunBegan(run_.plan());
    begun_ns_ = NowNs();
    while (!stopped_ && told_ < run_.events().size()) {
      const SyntheticEvent& next = run_.events()[told_];
      const std::int64_t now_us = TimeOfRunUs();
      const bool last = told_ + 2 >= run_.events().size();
      if (next.at_us <= now_us && !(options_.hold && last)) {
        Tell(next);
      } else {
        Wait(next.at_us - now_us);
      }
    }
    RunSummary summary = run_.Summary(told_);
    summary.interrupted = stopped_;
    if (stopped_) summary.exit_code = 130;
    const Result<void> ended = reporter_.OnRunEnded(summary);
    if (!ended && summary.exit_code == 0) return 125;
    return summary.exit_code;
  }

 private:
  std::int64_t TimeOfRunUs() const {
    if (options_.speed <= 0) return run_.wall_us();
    const auto passed =
        static_cast<double>(NowNs() - begun_ns_ - stopped_ns_) / 1000;
    return static_cast<std::int64_t>(passed * options_.speed);
  }

  void Tell(const SyntheticEvent& event) {
    using Kind = SyntheticEvent::Kind;
    const std::pair<std::size_t, std::size_t> key{event.test, event.attempt};
    if (event.kind == Kind::kAttemptStarted) running_.insert(key);
    if (event.kind == Kind::kAttemptEnded) {
      running_.erase(key);
      if (options_.no_capture) TellOutput(event);
    }
    run_.Tell(event, reporter_);
    ++told_;
    if (event.kind == Kind::kTestEnded && ++ended_ == options_.crash_after) {
      ::raise(SIGSEGV);
    }
  }

  void TellOutput(const SyntheticEvent& event) {
    const RunningTest running =
        run_.Running(event.test, event.attempt, event.at_us);
    reporter_.OnOutput(running, 1, running.out.ToString());
    reporter_.OnOutput(running, 2, running.err.ToString());
  }

  std::vector<RunningTest> RunningNow() const {
    std::vector<RunningTest> running;
    for (const auto& [test, attempt] : running_) {
      running.push_back(run_.Running(test, attempt, TimeOfRunUs()));
    }
    return running;
  }

  void Wait(std::int64_t us) {
    us = static_cast<std::int64_t>(static_cast<double>(us) / options_.speed);
    const int ms =
        static_cast<int>(std::clamp<std::int64_t>(us, 1000, kTickUs) / 1000);
    pollfd wait = {keyboard_.descriptor(), POLLIN, 0};
    ::poll(&wait, 1, ms);
    if (wait.revents != 0 && keyboard_.Take().find('t') != std::string::npos) {
      reporter_.OnShowRunning(RunningNow());
    }
    for (int signal = 1; signal < NSIG; ++signal) {
      if (caught[signal] == 0) continue;
      caught[signal] = 0;
      OnSignal(signal);
    }
    const std::int64_t now_ns = NowNs();
    if (now_ns - ticked_ns_ >= kTickUs * 1000) {
      ticked_ns_ = now_ns;
      keyboard_.Refresh();
      reporter_.OnTick(now_ns, RunningNow());
    }
  }

  void OnSignal(int signal) {
    if (signal == SIGUSR1) reporter_.OnShowRunning(RunningNow());
    if (signal == SIGINT || signal == SIGTERM) stopped_ = true;
    if (signal == SIGTSTP) {
      const std::int64_t before_ns = NowNs();
      reporter_.OnSuspend();
      keyboard_.Suspend();
      ::raise(SIGSTOP);
      keyboard_.Resume();
      reporter_.OnResume();
      stopped_ns_ += NowNs() - before_ns;
    }
    if (signal == SIGCONT) keyboard_.Resume();
  }

  const Options& options_;
  const SyntheticRun run_;
  Reporter& reporter_;
  Keyboard keyboard_;
  std::set<std::pair<std::size_t, std::size_t>> running_;
  std::size_t told_ = 0;
  std::size_t ended_ = 0;
  std::int64_t begun_ns_ = 0;
  std::int64_t stopped_ns_ = 0;
  std::int64_t ticked_ns_ = 0;
  bool stopped_ = false;
};

int Main(int argc, char** argv) {
  std::optional<Options> options = Parse(argc, argv);
  if (!options) return 2;
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
  for (const int signal : {SIGINT, SIGTERM, SIGTSTP, SIGCONT, SIGUSR1}) {
    ::signal(signal, Catch);
  }
  auto reports = ReportSet::Create(options->reports);
  if (!reports) {
    std::fprintf(stderr, "forkserver: %s\n",
                 reports.error().ToString().c_str());
    return 2;
  }
  options->run.begun_ns = NowNs();
  return Replay(*options, **reports).Run();
}

}  // namespace
}  // namespace forkserver::harness

int main(int argc, char** argv) {
  return forkserver::harness::Main(argc, argv);
}
