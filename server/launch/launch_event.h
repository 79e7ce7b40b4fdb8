// What the launch layer has to tell. Plain values.
#pragma once

#include <forkserver/error.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "sdk/protocol/messages.h"

namespace forkserver::server {

// Names a process of the launch layer: the number in a worker's id. Given by
// the caller, never used twice.
using ProcessKey = std::uint64_t;

// What a process left that crashed or failed, as it wrote it: any bytes.
struct CrashText {
  // Of each part: more is cut.
  static constexpr std::size_t kMaxBytes = 8192;

  std::string report;       // of sdk/process/crash_handler.h
  std::string traceback;    // of Python
  std::string stderr_tail;  // what the daemon relayed
};

// How a process ended. `observed` is false when nobody could see it. What is
// added here goes over in an upgrade: see supervisor_upgrade.cc.
struct EndStatus {
  bool observed = false;
  std::optional<std::int64_t> code;
  std::optional<std::int64_t> signal;
  bool core = false;
  std::int64_t max_rss_bytes = 0;
  std::int64_t user_us = 0;
  std::int64_t system_us = 0;
  std::int64_t ended_ns = 0;
  CrashText crash;
  std::int64_t oom_kills = 0;          // in its cgroup
  std::vector<std::string> leftovers;  // see WorkerTraits::report_leftovers
};

// The program runs, or the entry begins.
struct ProcessStarted {
  ProcessKey key = 0;
  pid_t pid = 0;
  std::int64_t launched_ns = 0;
  std::int64_t started_ns = 0;
};

// It never will. What is left of the process is reaped without a word.
struct LaunchFailed {
  ProcessKey key = 0;
  Error error;
};

// It ended before its program or entry began, or was never made, and no step
// of the launch failed. Instead of LaunchFailed: whoever had it stopped knows
// why.
struct ProcessNeverBegan {
  ProcessKey key = 0;
  pid_t pid = 0;  // 0: unknown
  EndStatus status;
  Error error;  // what to say if nobody had it stopped
};

// Told once, after ProcessStarted.
struct ProcessEnded {
  ProcessKey key = 0;
  EndStatus status;
  bool zygote_died = false;  // it was taken over from its dead zygote
};

// It has preloaded. Nobody has looked at it yet.
struct ZygoteIsReady {
  ProcessKey key = 0;
  pid_t pid = 0;
  protocol::ZygoteReady ready;
};

// Told once for each Launcher::Audit, unless the zygote ended before.
struct ZygoteAudited {
  ProcessKey key = 0;
  Audit audit;
};

// Told once for each Launcher::TakeStacks, as lines for a person.
struct StacksTaken {
  ProcessKey key = 0;
  std::vector<std::string> lines;
};

// Told once for each Launcher::TryProgram: what it wrote, and how it ended.
struct ProgramTried {
  std::string said;
  EndStatus status;
};

// Told once for each zygote that was launched; after it the key is unknown.
struct ZygoteEnded {
  ProcessKey key = 0;
  // What it or the launch said was wrong, if it said anything.
  std::optional<Error> error;
  std::optional<EndStatus> status;  // none when it was never launched
  std::string stderr_tail;
};

using LaunchEvent =
    std::variant<ProcessStarted, LaunchFailed, ProcessNeverBegan, ProcessEnded,
                 ZygoteIsReady, ZygoteAudited, StacksTaken, ProgramTried,
                 ZygoteEnded>;

}  // namespace forkserver::server
