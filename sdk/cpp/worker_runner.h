// What a forked worker does between the fork and its exit.
#pragma once

#include <forkserver/zygote.h>

#include <cstdint>
#include <optional>
#include <string>

#include "sdk/cpp/forked_child.h"

namespace forkserver {

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

  // Applies the setup, reports Started (or Failed), runs the entry, sends its
  // result and leaves by _exit. `forked_ns`: when the child's first
  // instruction ran. All signals are blocked when it is called.
  [[noreturn]] static void Run(const ForkParent& parent, ForkRequest request,
                               std::int64_t forked_ns) noexcept;
};

}  // namespace forkserver
