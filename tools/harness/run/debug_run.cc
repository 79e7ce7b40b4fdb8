#include "tools/harness/run/debug_run.h"

#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <optional>
#include <utility>

#include "tools/forkserver/signal_pipe.h"
#include "tools/harness/run/judge.h"
#include "tools/harness/run/slot.h"
#include "tools/harness/run/worker_name.h"

namespace forkserver::harness {
namespace {

constexpr int kOk = 0;
constexpr int kFailures = 1;
constexpr int kUsage = 2;
constexpr int kInfrastructure = 125;

const TestCase* FindTest(const DebugRequest& request, const RunPlan& plan) {
  std::vector<const TestCase*> found;
  for (const TestCase& test : plan.tests) {
    if (test.id == request.test) return &test;
    if (test.name() == request.test) found.push_back(&test);
  }
  if (found.empty()) {
    for (const TestCase& test : plan.tests) {
      if (test.id.find(request.test) != std::string::npos) {
        found.push_back(&test);
      }
    }
  }
  if (found.size() == 1) return found.front();
  if (found.empty()) {
    request.print_error("--debug: no test is called '" + request.test +
                        "'; --list shows them");
    return nullptr;
  }
  constexpr std::size_t kMostShown = 10;
  std::string ids;
  for (std::size_t i = 0; i < std::min(found.size(), kMostShown); ++i) {
    ids += (i == 0 ? "" : ", ") + found[i]->id;
  }
  if (found.size() > kMostShown) ids += ", ...";
  request.print_error("--debug: " + std::to_string(found.size()) +
                      " tests are called '" + request.test + "': " + ids);
  return nullptr;
}

// Runs a debugger on this terminal, with `env` in `cwd`, and waits for it.
Result<void> RunDebugger(const std::vector<std::string>& words,
                         const ProcessOptions& process) {
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (const std::string& word : words) {
    argv.push_back(const_cast<char*>(word.c_str()));
  }
  argv.push_back(nullptr);
  std::vector<char*> env;
  env.reserve(process.env->size() + 1);
  for (const std::string& each : *process.env) {
    env.push_back(const_cast<char*>(each.c_str()));
  }
  env.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  for (const auto& [child_fd, fd] : process.fds) {
    ::posix_spawn_file_actions_adddup2(&actions, fd, child_fd);
  }
  if (process.cwd) {
    ::posix_spawn_file_actions_addchdir_np(&actions, process.cwd->c_str());
  }
  // Ctrl-C is for the debugger.
  struct sigaction ignore = {};
  struct sigaction before = {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGINT, &ignore, &before);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGINT);
  ::posix_spawnattr_setsigdefault(&attributes, &defaults);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  pid_t pid = 0;
  const int failure = ::posix_spawnp(&pid, argv.front(), &actions, &attributes,
                                     argv.data(), env.data());
  if (failure == 0) {
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  ::sigaction(SIGINT, &before, nullptr);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failure != 0)
    return SystemError("posix_spawn(" + words[0] + ")", failure);
  return {};
}

// The end of a worker; signals are forwarded to it.
Result<ExitRecord> AwaitEnd(Client& client, const Worker& worker,
                            cli::SignalPipe& signals) {
  std::optional<Result<ExitRecord>> end;
  client.OnExit(worker.id,
                [&end](Result<ExitRecord> record) { end = std::move(record); });
  while (!end) {
    pollfd polled[2] = {{signals.descriptor(), POLLIN, 0},
                        {client.descriptor(), POLLIN, 0}};
    (void)::poll(polled, 2, -1);
    for (const int signal : signals.Take()) {
      (void)client.Signal(worker.id, signal, /*group=*/true);
    }
    auto processed = client.Process();
    if (!end && !processed) return processed.error();
  }
  return *std::move(end);
}

Result<WorkerEnd> RunWorker(const DebugRequest& request, Client& client,
                            Launch launch) {
  WorkerEnd end;
  end.leaks = LeakPolicy::kOff;
  const bool under_gdb = !request.debugger.empty();
  auto signals = cli::SignalPipe::Open({SIGINT, SIGTERM, SIGHUP, SIGQUIT});
  if (!signals) return signals.error();
  Result<Worker> worker = [&] {
    if (auto* fork = std::get_if<ForkOptions>(&launch)) {
      if (under_gdb) fork->env->emplace_back("FORKSERVER_TEST_STOP=1");
      return client.Fork(*fork);
    }
    return client.Spawn(std::get<SpawnOptions>(launch));
  }();
  if (!worker) return worker.error();
  if (under_gdb) {
    ProcessOptions debugger = std::get<ForkOptions>(launch);
    debugger.fds.clear();
    debugger.env = request.env;
    // The stop at which it waits is not the test's.
    auto ran =
        RunDebugger({"gdb", "-iex", "handle SIGSTOP nostop noprint nopass",
                     "-p", std::to_string(worker->pid)},
                    debugger);
    if (!ran) {
      (void)client.Stop(worker->id, std::chrono::milliseconds(0));
      return ran.error();
    }
    // If it was left as it was found.
    (void)client.Signal(worker->id, SIGCONT, /*group=*/true);
  }
  Result<ExitRecord> record = AwaitEnd(client, *worker, *signals);
  if (!record) return record.error();
  end.record = *std::move(record);
  return end;
}

}  // namespace

int DebugTest(const DebugRequest& request, Client& client,
              const std::vector<std::unique_ptr<Target>>& targets,
              const RunPlan& plan) {
  const TestCase* const test = FindTest(request, plan);
  if (test == nullptr) return kUsage;
  const auto target = std::find_if(
      targets.begin(), targets.end(),
      [&](const auto& each) { return each->label() == test->target; });
  SlotFiles files(request.folder, plan.run_id, 0);
  if (auto prepared = files.Prepare(); !prepared) {
    request.print_error(prepared.error().ToString());
    return kInfrastructure;
  }
  Launch launch = (*target)->MakeLaunch({test}, files.files());
  WorkerOptions& options =
      std::visit([](auto& each) -> WorkerOptions& { return each; }, launch);
  if (!options.env) options.env = request.env;
  options.env->push_back("FORKSERVER_TEST_SLOT=0");
  options.env->push_back("FORKSERVER_TEST_RUN_ID=" + plan.run_id);
  options.env->push_back("FORKSERVER_TEST_NAME=" + test->name());
  options.name = WorkerNameOf(test->id);
  options.null_streams = true;
  for (int stream = 0; stream <= 2; ++stream) options.fds[stream] = stream;
  options.fds[kReportFd] = files.page_fd();

  if (!request.debugger.empty() &&
      std::holds_alternative<SpawnOptions>(launch)) {
    std::vector<std::string> words = {"gdb", "--args"};
    const auto& argv = std::get<SpawnOptions>(launch).argv;
    words.insert(words.end(), argv.begin(), argv.end());
    auto ran = RunDebugger(words, options);
    if (!ran) request.print_error(ran.error().ToString());
    return ran ? kOk : kInfrastructure;
  }
  Result<WorkerEnd> end = RunWorker(request, client, std::move(launch));
  if (!end) {
    request.print_error(end.error().ToString());
    return kInfrastructure;
  }
  end->report = (*target)->ReadReport({test}, files.files(), *end->record);
  const Judgement judgement = Judge(*end, 1).front();
  request.print_error(
      std::string(NameOf(judgement.verdict)) + ": " + test->id +
      (judgement.reason.empty() ? "" : ": " + judgement.reason));
  if (judgement.verdict == Verdict::kInfrastructure) return kInfrastructure;
  return IsUnsuccessful(judgement.verdict) ? kFailures : kOk;
}

}  // namespace forkserver::harness
