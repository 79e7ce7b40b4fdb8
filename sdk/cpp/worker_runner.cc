#include "sdk/cpp/worker_runner.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string_view>
#include <utility>

#include "sdk/cpp/zygote_report.h"
#include "sdk/process/platform.h"
#include "sdk/protocol/codec.h"

namespace forkserver {
namespace {

[[noreturn]] void LeaveFailed(int report_fd, const std::string& worker,
                              const Error& error) {
  WriteReport(report_fd, EncodeFailed(worker, ::getpid(), error));
  ::_exit(kSetupFailedExitCode);
}

// The reader may be gone, and may have made the pipe non-blocking.
void WriteResult(int fd, std::string_view result) {
  while (!result.empty()) {
    const ssize_t written = ::write(fd, result.data(), result.size());
    if (written >= 0) {
      result.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      pollfd entry = {fd, POLLOUT, 0};
      ::poll(&entry, 1, -1);
    } else if (errno != EINTR) {
      return;
    }
  }
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

[[noreturn]] void AbortForException(const std::string& entry,
                                    const char* what) {
  std::fprintf(stderr, "forkserver: entry '%s' threw: %s\n", entry.c_str(),
               what);
  FlushStreams();
  std::abort();
}

struct Prepared {
  protocol::Setup setup;
  const Entry* entry = nullptr;
  int report_fd = -1;
  int result_fd = -1;
};

// `prepared.report_fd` is where an error is to be reported.
Result<void> Prepare(const ForkParent& parent, const ForkRequest& request,
                     Prepared& prepared) {
  auto setup = protocol::DecodeBody<protocol::Setup>(request.setup.data);
  if (!setup) return setup.error();
  prepared.setup = std::move(*setup);
  const auto entry = parent.registry.entries.find(prepared.setup.entry);
  if (entry == parent.registry.entries.end()) {
    return MakeError(error_code::kUnknownEntry,
                     "there is no entry '" + prepared.setup.entry + "'",
                     "the zygote has: " + JoinKeys(parent.registry.entries));
  }
  prepared.entry = &entry->second;
  auto checked = CheckFrozen(parent.frozen, prepared.setup);
  if (!checked) return checked;

  KeptFds kept = {prepared.report_fd, -1};
  auto applied = ApplySetup(prepared.setup, request.fds, request.limits,
                            parent.null_fd, kept);
  prepared.report_fd = kept.first;
  prepared.result_fd = kept.second;
  return applied;
}

}  // namespace

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

void WorkerRunner::Run(const ForkParent& parent, ForkRequest request,
                       std::int64_t forked_ns) noexcept {
  if (!request.detach && !SetParentDeathSignal(SIGKILL, parent.pid)) {
    ::_exit(kSetupFailedExitCode);
  }
  parent.signals.RestoreInChild();
  Prepared prepared;
  prepared.report_fd = parent.report_fd;
  if (auto done = Prepare(parent, request, prepared); !done) {
    LeaveFailed(prepared.report_fd, request.worker, done.error());
  }
  // Their numbers may be somebody else's now.
  for (UniqueFd& fd : request.fds) static_cast<void>(fd.Release());
  ReplaceEnvironment(std::move(prepared.setup.env));
  WorkerContext context = MakeContext(
      request.worker, std::move(prepared.setup.entry),
      std::move(prepared.setup.args.data), std::move(prepared.setup.argv));

  protocol::Started started;
  started.worker = std::move(request.worker);
  started.pid = ::getpid();
  started.forked_ns = forked_ns;
  started.started_ns = MonotonicNanoseconds();
  WriteReport(prepared.report_fd, protocol::EncodeRequest(0, 0, started));
  ::close(prepared.report_fd);
  // Only now: a detached worker survives a daemon that went away meanwhile.
  parent.signals.RestorePipeSignal();

  const int code = CallEntry(*prepared.entry, context);
  if (prepared.result_fd >= 0) {
    if (context.result_) {
      struct sigaction ignore = {};
      struct sigaction old = {};
      ignore.sa_handler = SIG_IGN;
      ::sigaction(SIGPIPE, &ignore, &old);
      WriteResult(prepared.result_fd, *context.result_);
      ::sigaction(SIGPIPE, &old, nullptr);
    }
    ::close(prepared.result_fd);
  }
  FlushStreams();
  ::_exit(code & 0xff);
}

}  // namespace forkserver
