// The process that waits for what becomes of a forked child, and has the
// report made: no thread, no descriptor and no signal of the guarded program
// are used for it, and its wait() never sees it. The two sides are
// watcher_linux.cc and watcher_darwin.cc.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "sdk/guard/fork_record.h"

namespace forkserver::guard {

// What a stack that forked is known for. Shared with all forked children.
struct KnownStack {
  std::atomic<std::uint64_t> hash;
  std::atomic<std::uint64_t> state;
};
inline constexpr std::uint64_t kNew = 0;
inline constexpr std::uint64_t kBeingAudited = 1;
inline constexpr std::uint64_t kReported = 2;
// Any other: what the process looked like when the audit found it safe.

enum ChildState : std::uint32_t { kForked, kExecuted, kParentEnds };

// One fork that is watched. The memory is shared with the forked child.
struct Watch {
  std::atomic<std::uint32_t> state;
  std::atomic<std::uint32_t> serial;
  std::atomic<int> watcher;  // 0: ended; the kernel says so
  std::atomic<std::uint32_t> watching;
  int slot;       // whose it is
  int own_child;  // the watcher, if it has to be reaped here
  KnownStack* known;
  std::uint64_t looks;  // goes into known->state when the audit finds it safe
  ForkRecord record;
  static constexpr std::size_t kStackBytes = 16 * 1024;
  alignas(64) char stacks[2][kStackBytes];
};

struct WatcherSettings {
  long window_ms = kDefaultWindowMs;
  char report[4096] = {};   // a file; empty: standard error
  char program[4096] = {};  // forkserver
};

// From now on. Where no process can be made the fork is not watched.
void StartWatcher(Watch& watch, const WatcherSettings& settings);
// In the child: it is about to execute something. Async-signal-safe.
void TellWatcher(Watch& watch, ChildState state);
// The watcher has ended; it is forgotten then.
bool IsOver(Watch& watch);
// Until it is; a few seconds at most.
void AwaitWatcher(Watch& watch, const WatcherSettings& settings);

// The verdict now, as the exit code of the report's program: 0, 1, 2; 125 and
// more when it could not tell. Blocks. `quiet`: nothing is reported.
int ReportNow(Watch& watch, const WatcherSettings& settings, bool quiet);

}  // namespace forkserver::guard
