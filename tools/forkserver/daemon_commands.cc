#include "tools/forkserver/daemon_commands.h"

#include <forkserver/client.h>
#include <poll.h>

#include <chrono>
#include <csignal>
#include <string>
#include <utility>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/cpp/find_daemon.h"
#include "sdk/process/platform.h"
#include "tools/forkserver/connect.h"
#include "tools/forkserver/exit_codes.h"
#include "tools/forkserver/json.h"
#include "tools/forkserver/output.h"
#include "tools/forkserver/run_program.h"
#include "tools/forkserver/signal_pipe.h"

namespace forkserver::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kStopTimeout{30};

std::string DescribeEvent(const Event& event) {
  std::string text = event.event;
  if (event.worker) {
    const WorkerInfo& worker = *event.worker;
    text += " " + worker.id;
    if (!worker.name.empty()) text += " " + worker.name;
    text += " pid " + std::to_string(worker.pid);
    if (!worker.zygote.empty()) text += " zygote " + worker.zygote;
    if (worker.exit) text += ": " + Describe(*worker.exit);
  } else if (event.zygote) {
    text +=
        " " + event.zygote->name + " pid " + std::to_string(event.zygote->pid);
  } else if (event.service) {
    const ServiceInfo& service = *event.service;
    text += " " + service.name + " " + std::string(NameOf(service.state));
    if (service.pid != 0) text += " pid " + std::to_string(service.pid);
    if (!service.why.empty()) text += ": " + service.why;
  } else if (event.snapshot) {
    text += ": events were lost; " +
            std::to_string(event.snapshot->workers.size()) + " workers, " +
            std::to_string(event.snapshot->zygotes.size()) + " zygotes";
  }
  return text;
}

// False at the deadline. Readable or broken: true.
bool AwaitReadable(int fd, Clock::time_point deadline) {
  while (true) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return false;
    pollfd polled = {fd, POLLIN, 0};
    if (::poll(&polled, 1, static_cast<int>(left.count())) > 0) return true;
  }
}

// Until the daemon has closed the connection, and then until its process has
// ended where that can be seen: another one can be started then.
bool AwaitDaemonEnd(Client& client, const UniqueFd& process) {
  const auto deadline = Clock::now() + kStopTimeout;
  while (client.Process()) {
    if (!AwaitReadable(client.descriptor(), deadline)) return false;
  }
  return !process || AwaitReadable(process.get(), deadline);
}

}  // namespace

int PrintStatus(const Options& options) {
  Result<Client> client = ConnectToRunning(options);
  if (!client) return Fail(client.error());
  Result<DaemonStatus> status = client->Status();
  if (!status) return Fail(status.error());
  if (options.json) {
    PrintLine(ToJson(*status));
    return kOk;
  }
  const auto uptime_s = status->uptime_ms / 1000;
  std::string limits;
  for (const std::string& name : status->cgroup_limits) limits += " " + name;
  const std::string cgroups =
      !status->cgroup_missing.empty() ? "none: " + status->cgroup_missing
      : limits.empty()                ? "without limits: it has no controllers"
                                      : "limits of" + limits;
  PrintTable({
      {"pid", std::to_string(status->pid)},
      {"version", status->version},
      {"protocol", std::to_string(status->protocol)},
      {"instance", status->instance},
      {"socket", status->socket},
      {"uptime", std::to_string(uptime_s) + " s"},
      {"clients", std::to_string(status->clients)},
      {"workers", std::to_string(status->workers)},
      {"zygotes", std::to_string(status->zygotes)},
      {"launched", std::to_string(status->launched)},
      {"upgrades", std::to_string(status->upgrades)},
      {"records kept", std::to_string(status->records_kept)},
      {"open fds", std::to_string(status->open_fds)},
      {"threads", std::to_string(status->threads)},
      {"cgroups", cgroups},
      {"log", status->log.empty() ? "standard error" : status->log},
  });
  return kOk;
}

int PrintEvents(const Options& options) {
  auto signals = SignalPipe::Open({SIGINT, SIGTERM});
  if (!signals) return Fail(signals.error());
  Result<Client> client = ConnectToRunning(options);
  if (!client) return Fail(client.error());
  bool written = true;
  auto snapshot = client->Subscribe([&](const Event& event) {
    PrintLine(options.json ? ToJson(event) : DescribeEvent(event));
    written = written && FlushOutput();
  });
  if (!snapshot) return Fail(snapshot.error());
  while (true) {
    auto processed = client->Process();
    if (!written) return kFailed;
    if (!processed) return Fail(processed.error());
    pollfd polled[2] = {{signals->descriptor(), POLLIN, 0},
                        {client->descriptor(), POLLIN, 0}};
    if (::poll(polled, 2, -1) > 0 && polled[0].revents != 0) return kOk;
  }
}

int StartDaemonProcess(const Options& options) {
  Result<std::string> program = FindDaemonProgram("");
  if (!program) return Fail(program.error());
  const std::string socket = SocketPath(options);
  std::vector<std::string> words = {*program, "--socket", socket};
  words.insert(words.end(), options.daemon_arguments.begin(),
               options.daemon_arguments.end());
  // It explains its failures itself.
  const Result<int> code = RunProgram(std::move(words));
  if (!code) return Fail(code.error());
  if (*code == kOk) PrintLine("forkserverd serves " + socket);
  return *code;
}

int StopDaemonProcess(const Options& options) {
  Result<Client> client = ConnectToRunning(options);
  if (!client && IsAbsent(client.error())) {
    PrintLine("no daemon serves " + SocketPath(options));
    return kOk;
  }
  if (!client) return Fail(client.error());
  Result<DaemonStatus> status = client->Status();
  if (!status) return Fail(status.error());
  const UniqueFd process = OpenProcess(static_cast<pid_t>(status->pid));
  auto asked = client->Shutdown();
  // It may be gone before its reply is read.
  if (!asked && asked.error().code != error_code::kConnectionLost) {
    return Fail(asked.error());
  }
  if (!AwaitDaemonEnd(*client, process)) {
    return Fail(MakeError(error_code::kTimeout,
                          "forkserverd (pid " + std::to_string(status->pid) +
                              ") has not stopped within " +
                              std::to_string(kStopTimeout.count()) + " s",
                          "its workers may have longer grace periods: see "
                          "`forkserver ps`"));
  }
  PrintLine("stopped forkserverd (pid " + std::to_string(status->pid) + ")");
  return kOk;
}

int UpgradeDaemonProcess(const Options& options) {
  // What comes of it names both versions.
  Result<Client> client = ConnectSilently(options);
  if (!client) return Fail(client.error());
  Result<std::string> program = FindDaemonProgram("");
  if (!program) return Fail(program.error());
  Result<DaemonStatus> status = client->Status();
  if (!status) return Fail(status.error());
  Result<DaemonUpgrade> upgrade = client->Upgrade(*program);
  if (!upgrade) {
    Error error = upgrade.error();
    if (error.code == error_code::kUnknownRequest) {
      error.hint =
          "this daemon is too old to be upgraded: `forkserver daemon stop`, "
          "then `forkserver daemon start`";
    }
    return Fail(error);
  }
  PrintLine(options.json ? ToJson(*upgrade)
                         : "forkserverd (pid " + std::to_string(status->pid) +
                               ") was upgraded from " + upgrade->from + " to " +
                               upgrade->version);
  return kOk;
}

int PrintDaemonState(const Options& options) {
  Result<Client> client = ConnectToRunning(options);
  if (!client && IsAbsent(client.error())) {
    PrintLine(options.json ? "null"
                           : "no daemon serves " + SocketPath(options));
    return kNoDaemon;
  }
  if (!client) return Fail(client.error());
  Result<DaemonStatus> status = client->Status();
  if (!status) return Fail(status.error());
  PrintLine(options.json ? ToJson(*status)
                         : "forkserverd (pid " + std::to_string(status->pid) +
                               ") serves " + status->socket);
  return kOk;
}

int PrintSocketPath(const Options& options) {
  PrintLine(SocketPath(options));
  return kOk;
}

}  // namespace forkserver::cli
