#include "tools/forkserver/run_commands.h"

#include <fcntl.h>
#include <forkserver/client.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <optional>
#include <utility>

#include "sdk/base/unique_fd.h"
#include "tools/forkserver/attached_worker.h"
#include "tools/forkserver/connect.h"
#include "tools/forkserver/exit_codes.h"
#include "tools/forkserver/output.h"
#include "tools/forkserver/request.h"
#include "tools/forkserver/terminal_relay.h"
#include "tools/forkserver/worker_outcome.h"

namespace forkserver::cli {
namespace {

int ReportDetached(const Result<Worker>& worker) {
  if (!worker) return ReportLaunchFailure(worker.error());
  PrintLine(worker->id);
  return kOk;
}

// The only entry of the zygote.
Result<std::string> FindOnlyEntry(Client& client, const std::string& name) {
  Result<Snapshot> snapshot = client.List();
  if (!snapshot) return snapshot.error();
  for (const ZygoteInfo& zygote : snapshot->zygotes) {
    if (zygote.name != name || zygote.state == ZygoteState::kRetiring) continue;
    if (zygote.entries.size() == 1) return zygote.entries.front();
    std::string entries;
    for (const std::string& entry : zygote.entries) {
      entries += (entries.empty() ? "" : ", ") + entry;
    }
    return MakeError(error_code::kUnknownEntry,
                     "zygote '" + name + "' offers " +
                         (entries.empty() ? "no entry" : "several entries: ") +
                         entries,
                     "name one with --entry");
  }
  return MakeError(error_code::kUnknownZygote,
                   "there is no zygote '" + name + "'",
                   "start it with `forkserver zygote start`, or see "
                   "`forkserver zygote ls`");
}

int CallEntry(Client& client, const ForkOptions& fork) {
  Result<CallResult> called = client.Call(fork);
  if (!called) return ReportLaunchFailure(called.error());
  std::fwrite(called->result.data(), 1, called->result.size(), stdout);
  return ReportEnd(called->exit);
}

// One of its own for the worker, if that is asked for. Otherwise it has the
// streams of this one, and is in another session: without the daemon a process
// group of its own would be a background job, which is stopped when it reads
// the terminal.
Result<std::optional<TerminalRelay>> GiveTerminal(const Options& options,
                                                  const Client& client,
                                                  ProcessOptions& process) {
  std::optional<TerminalRelay> terminal;
  if (options.pty) {
    Result<TerminalRelay> opened = TerminalRelay::Open();
    if (!opened) return opened.error();
    terminal.emplace(std::move(*opened));
    process.group = GroupKind::kTerminal;
    for (int stream = 0; stream <= 2; ++stream) {
      process.fds[stream] = terminal->worker_side();
    }
  } else if (client.descriptor() < 0 && ::isatty(STDIN_FILENO) == 1) {
    process.group = GroupKind::kSession;
  }
  return terminal;
}

TerminalRelay* PointerTo(std::optional<TerminalRelay>& terminal) {
  return terminal ? &*terminal : nullptr;
}

}  // namespace

int RunExecWorker(const Options& options) {
  Result<Client> client = ConnectOrStart(options);
  if (!client) return Fail(client.error());
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return Fail(SystemError("open(/dev/null)", errno));
  SpawnOptions spawn = MakeSpawnOptions(options, null.get());
  if (options.detach) return ReportDetached(client->Spawn(spawn));
  Result<std::optional<TerminalRelay>> terminal =
      GiveTerminal(options, *client, spawn);
  if (!terminal) return Fail(terminal.error());
  return RunAttached(*client, PointerTo(*terminal), [&](LaunchDone done) {
    client->SpawnAsync(spawn, std::move(done));
  });
}

int RunForkedWorker(const Options& options) {
  Result<Client> client = ConnectOrStart(options);
  if (!client) return Fail(client.error());
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return Fail(SystemError("open(/dev/null)", errno));
  ForkOptions fork = MakeForkOptions(options, null.get());
  if (fork.entry.empty()) {
    Result<std::string> entry = FindOnlyEntry(*client, fork.zygote);
    if (!entry) return Fail(entry.error());
    fork.entry = *std::move(entry);
  }
  if (options.result) return CallEntry(*client, fork);
  if (options.detach) return ReportDetached(client->Fork(fork));
  Result<std::optional<TerminalRelay>> terminal =
      GiveTerminal(options, *client, fork);
  if (!terminal) return Fail(terminal.error());
  return RunAttached(*client, PointerTo(*terminal), [&](LaunchDone done) {
    client->ForkAsync(fork, std::move(done));
  });
}

}  // namespace forkserver::cli
