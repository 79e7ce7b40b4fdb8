// A forked worker: what is prepared before the fork, and what it does between
// the fork and its exit.
//
// As much as can be is prepared in the zygote. fork(2) does not copy the page
// tables of program and libraries, and shares the heap copy-on-write: each
// stretch of code and each page of data that the child is the first to touch
// costs it a page fault.
#pragma once

#include <forkserver/zygote.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sdk/cpp/forked_child.h"
#include "sdk/process/child_setup.h"
#include "sdk/protocol/framing.h"

namespace forkserver {

// A request that has been checked, and what the child needs to fulfil it.
struct PreparedWorker {
  ForkRequest request;
  protocol::Setup setup;
  const Entry* entry = nullptr;  // none in a canary
  ChildPlan plan;
  std::vector<char*> environment;  // into `setup`, for environ(7)
  bool new_time_zone = false;
};

// The SDK's access to WorkerContext, and the worker's life.
struct WorkerRunner {
  static WorkerContext MakeContext(std::string worker_id, std::string entry,
                                   std::string args,
                                   std::vector<std::string> argv);
  static const std::optional<std::string>& ResultOf(
      const WorkerContext& context) {
    return context.result_;
  }

  // Calls the entry and returns its value. An exception that leaves it ends
  // the process by SIGABRT, with its text on standard error.
  static int CallEntry(const Entry& entry, WorkerContext& context);

  // In the zygote. `worker.request` is given, the rest is filled in. Errors are
  // those of `fork` in the protocol.
  static Result<void> Prepare(const ForkParent& parent, PreparedWorker& worker);

  // In a spare, before it waits: a request is taken from `reader`, prepared and
  // reported, without effect. The pages that this touches are the child's own
  // by then.
  static void RunDry(const ForkParent& parent, protocol::FrameReader& reader);

  // In a spare: the next request in `reader`, prepared. False if there is none
  // yet; does not return if it cannot be fulfilled.
  static bool Take(const ForkParent& parent, protocol::FrameReader& reader,
                   PreparedWorker& worker);

  // In the child: reports that it cannot become the worker, and ends.
  [[noreturn]] static void LeaveFailed(int report_fd, const std::string& worker,
                                       const Error& error);

  // In the child. Applies the setup, reports Started (or Failed), runs the
  // entry, sends its result and leaves by _exit. `forked_ns`: when the child's
  // first instruction ran. All signals are blocked when it is called.
  [[noreturn]] static void Run(const ForkParent& parent, PreparedWorker& worker,
                               std::int64_t forked_ns) noexcept;
};

}  // namespace forkserver
