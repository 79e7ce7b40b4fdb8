#include "tools/forkserver/worker_outcome.h"

#include <cerrno>
#include <string>

#include "tools/forkserver/exit_codes.h"
#include "tools/forkserver/output.h"

namespace forkserver::cli {
namespace {

const char* ExplainReason(EndReason reason) {
  switch (reason) {
    case EndReason::kTimeout:
      return "was stopped: its timeout ran out";
    case EndReason::kClientGone:
      return "was stopped: the client that asked for it is gone";
    case EndReason::kZygoteDied:
      return "was killed: its zygote died";
    case EndReason::kForkDeadlock:
      return "was killed: it did not reach its entry (fork_deadlock)";
    case EndReason::kDaemonStopping:
      return "was stopped: forkserverd stopped";
    case EndReason::kLost:
      return "is gone, and nobody could observe how it ended";
    case EndReason::kExited:
    case EndReason::kSignaled:
    case EndReason::kStopped:
      break;
  }
  return nullptr;
}

}  // namespace

int ReportEnd(const ExitRecord& record) {
  if (const char* explanation = ExplainReason(record.reason)) {
    PrintError("worker " + record.id + " " + explanation);
  }
  if (const std::string memory = DescribeOomKills(record); !memory.empty()) {
    PrintError("worker " + record.id + " " + memory);
  }
  if (record.crash && !record.crash->frames.empty()) {
    PrintError("worker " + record.id +
               " left word of where it was: " + "forkserver why " + record.id);
  }
  if (record.reason == EndReason::kTimeout) return kWorkerTimeout;
  if (record.code) return static_cast<int>(*record.code & 0xff);
  if (record.signal) return kSignalBase + static_cast<int>(*record.signal);
  return kFailed;
}

int ReportLaunchFailure(const Error& error) {
  Fail(error);
  if (error.code != error_code::kLaunchFailed || error.step != "execve") {
    return kFailed;
  }
  const bool missing =
      error.error_number == ENOENT || error.error_number == ENOTDIR;
  return missing ? kNotFound : kNotExecutable;
}

}  // namespace forkserver::cli
