#include "sdk/cpp/worker_runner.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <exception>
#include <iostream>
#include <string_view>
#include <utility>

#include "sdk/cpp/zygote_report.h"
#include "sdk/process/platform.h"
#include "sdk/process/worker_variable.h"
#include "sdk/protocol/codec.h"

extern char** environ;

namespace forkserver {
namespace {

// The reader may be gone, and may have made the pipe non-blocking. False: it
// could not be written though somebody may read it.
bool WriteResult(int fd, std::string_view result) {
  while (!result.empty()) {
    const ssize_t written = ::write(fd, result.data(), result.size());
    if (written >= 0) {
      result.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      pollfd entry = {fd, POLLOUT, 0};
      ::poll(&entry, 1, -1);
    } else if (errno != EINTR) {
      return errno == EPIPE;
    }
  }
  return true;
}

void FlushStreams() {
  try {
    std::cout.flush();
    std::clog.flush();
  } catch (...) {
    // The entry asked for exceptions; there is nobody left to catch them.
  }
  std::fflush(nullptr);
}

void ReportStarted(int report_fd, const std::string& worker,
                   std::int64_t forked_ns) {
  protocol::Started started;
  started.worker = worker;
  started.pid = ::getpid();
  started.forked_ns = forked_ns;
  started.started_ns = MonotonicNanoseconds();
  WriteReport(report_fd, protocol::EncodeRequest(0, 0, started));
}

[[noreturn]] void AbortForException(const std::string& entry,
                                    const char* what) {
  std::fprintf(stderr, "forkserver: entry '%s' threw: %s\n", entry.c_str(),
               what);
  FlushStreams();
  std::abort();
}

}  // namespace

void WorkerRunner::LeaveFailed(int report_fd, const std::string& worker,
                               const Error& error) {
  WriteReport(report_fd, EncodeFailed(worker, ::getpid(), error));
  ::_exit(kSetupFailedExitCode);
}

WorkerContext WorkerRunner::MakeContext(std::string worker_id,
                                        std::string entry, std::string args,
                                        std::vector<std::string> argv) {
  WorkerContext context;
  context.worker_id_ = std::move(worker_id);
  context.entry_ = std::move(entry);
  context.args_ = std::move(args);
  context.argv_ = std::move(argv);
  return context;
}

int WorkerRunner::CallEntry(const Entry& entry, WorkerContext& context) {
  try {
    return entry(context);
  } catch (const std::exception& exception) {
    AbortForException(context.entry(), exception.what());
  } catch (...) {
    AbortForException(context.entry(), "something that is no std::exception");
  }
}

Result<void> WorkerRunner::Prepare(const ForkParent& parent,
                                   PreparedWorker& worker) {
  const ForkRequest& request = worker.request;
  auto setup = protocol::DecodeBody<protocol::Setup>(request.setup.data);
  if (!setup) return setup.error();
  if (!request.canary) {
    const auto entry = parent.registry.entries.find(setup->entry);
    if (entry == parent.registry.entries.end()) {
      return MakeError(error_code::kUnknownEntry,
                       "there is no entry '" + setup->entry + "'",
                       "the zygote has: " + JoinKeys(parent.registry.entries));
    }
    worker.entry = &entry->second;
    auto checked = CheckFrozen(parent.frozen, *setup);
    if (!checked) return checked;
  }
  auto plan =
      PrepareChildPlan(*setup, request.fds, parent.null_fd, request.limits);
  if (!plan) return plan.error();
  SetWorkerVariable(request.worker, setup->env);
  worker.setup = std::move(*setup);
  worker.plan = std::move(*plan);
  worker.plan.kept = parent.kept_fds;
  worker.plan.status_fd = parent.report_fd;
  worker.plan.cgroup_fd = request.cgroup.get();
  worker.environment = PointersTo(worker.setup.env);
  worker.new_time_zone = ChangesTimeZone(worker.setup.env);
  return {};
}

bool WorkerRunner::Take(const ForkParent& parent, protocol::FrameReader& reader,
                        PreparedWorker& worker) {
  auto frame = reader.Next();
  if (!frame) ::_exit(kSetupFailedExitCode);
  if (!frame->has_value()) return false;
  auto message = protocol::Message::Parse(**frame);
  if (!message) ::_exit(kSetupFailedExitCode);
  auto body = message->Decode<protocol::ForkWorker>();
  if (!body) ::_exit(kSetupFailedExitCode);
  worker.request =
      MakeForkRequest(*std::move(body), reader.TakeFds(reader.fds_available()));
  if (auto done = Prepare(parent, worker); !done) {
    LeaveFailed(parent.report_fd, worker.request.worker, done.error());
  }
  return true;
}

void WorkerRunner::RunDry(const ForkParent& parent,
                          protocol::FrameReader& reader) {
  protocol::Setup setup;
  setup.cwd = "/";
  for (char** variable = environ; *variable != nullptr; ++variable) {
    setup.env.emplace_back(*variable);
  }
  if (!parent.registry.entries.empty()) {
    setup.entry = parent.registry.entries.begin()->first;
  }
  protocol::ForkWorker request;
  request.setup.data = protocol::EncodeBody(setup);
  // It has no entry if the program has none, and frozen variables may have been
  // changed by a preload step.
  request.canary = true;
  reader.Append(protocol::EncodeRequest(0, 0, request));
  PreparedWorker worker;
  Take(parent, reader, worker);
  static_cast<void>(CheckFrozen(parent.frozen, worker.setup));
  static_cast<void>(parent.registry.entries.find(worker.setup.entry));
  static_cast<void>(MakeContext({}, {}, {}, {}));
  ReportStarted(parent.null_fd, {}, 0);
  FlushStreams();
}

void WorkerRunner::Run(const ForkParent& parent, PreparedWorker& worker,
                       std::int64_t forked_ns) noexcept {
  const std::string& id = worker.request.worker;
  if (!worker.request.detach && !SetParentDeathSignal(SIGKILL, parent.pid)) {
    ::_exit(kSetupFailedExitCode);
  }
  parent.signals.RestoreInChild();
  const SetupFailure failure = ApplyChildPlan(worker.plan);
  if (failure.step != SetupStep::kNone) {
    LeaveFailed(worker.plan.status_fd, id,
                DescribeFailure(failure, worker.setup));
  }
  const int report_fd = worker.plan.status_fd;
  const int result_fd = worker.plan.extra_fd;
  // Their numbers may be somebody else's now.
  for (UniqueFd& fd : worker.request.fds) static_cast<void>(fd.Release());
  static_cast<void>(worker.request.cgroup.Release());
  // `worker` lives as long as this process does.
  environ = worker.environment.data();
  if (worker.new_time_zone) ::tzset();
  WorkerContext context = MakeContext(id, std::move(worker.setup.entry),
                                      std::move(worker.setup.args.data),
                                      std::move(worker.setup.argv));

  ReportStarted(report_fd, id, forked_ns);
  ::close(report_fd);
  if (worker.request.canary) ::_exit(0);
  // Only now: a detached worker survives a daemon that went away meanwhile.
  parent.signals.RestorePipeSignal();

  int code = CallEntry(*worker.entry, context);
  if (result_fd >= 0) {
    if (context.result_) {
      struct sigaction ignore = {};
      struct sigaction old = {};
      ignore.sa_handler = SIG_IGN;
      ::sigaction(SIGPIPE, &ignore, &old);
      if (!WriteResult(result_fd, *context.result_)) {
        // A part of a result must not pass for the whole.
        std::fprintf(stderr, "forkserver: the result cannot be written: %s\n",
                     std::strerror(errno));
        code = kSetupFailedExitCode;
      }
      ::sigaction(SIGPIPE, &old, nullptr);
    }
    ::close(result_fd);
  }
  FlushStreams();
  ::_exit(code & 0xff);
}

}  // namespace forkserver
