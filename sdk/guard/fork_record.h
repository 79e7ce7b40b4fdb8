// What libforkguard knows of one fork, as it hands it to `forkserver
// guard-report`, which is of the same build: plain bytes on a descriptor.
#pragma once

#include <netinet/in.h>

#include <cstdint>

namespace forkserver::guard {

// The environment of a guarded program.
inline constexpr char kModeVariable[] = "FORKSERVER_GUARD";  // warn deny abort
inline constexpr char kWindowVariable[] = "FORKSERVER_GUARD_WINDOW";  // ms
inline constexpr char kReportVariable[] = "FORKSERVER_GUARD_REPORT";  // a file
inline constexpr char kProgramVariable[] = "FORKSERVER_GUARD_PROGRAM";
inline constexpr long kDefaultWindowMs = 100;

// The command that makes a report, and what makes it JSON, or none at all.
inline constexpr char kReportCommand[] = "guard-report";
inline constexpr char kJsonOption[] = "--json";
inline constexpr char kQuietOption[] = "--quiet";

inline constexpr int kMaxFrames = 24;
inline constexpr int kMaxThreadFrames = 16;  // each thread pays for them
inline constexpr int kMaxThreadStacks = 128;
inline constexpr int kMaxThreads = 4096;
inline constexpr int kMaxNames = 64;
inline constexpr int kNameBytes = 16;
inline constexpr int kMaxDescriptors = 256;
inline constexpr int kMaxHandlers = 64;

// Return addresses, innermost first.
struct Stack {
  std::uint32_t count = 0;
  std::uint64_t addresses[kMaxFrames] = {};
};

struct StartedThread {
  std::int64_t id = 0;
  std::uint64_t function = 0;  // that it began with
  Stack stack;                 // that started it
};

enum class Mode : std::uint32_t { kOff, kWarn, kDeny, kAbort };

struct ForkRecord {
  std::uint32_t size = sizeof(ForkRecord);
  Mode mode = Mode::kOff;
  std::int64_t pid = 0;
  std::int64_t thread = 0;  // that forks
  std::int64_t child = 0;   // 0: not forked yet
  // A process that has the memory that `pid` had, also when that has ended.
  std::int64_t memory_of = 0;
  // Mapped in the child until it executes something: where, and its inode.
  std::uint64_t marker = 0;
  std::uint64_t function = 0;  // where libforkguard is
  Stack stack;                 // that called fork

  // At the fork; more than fit: the count says so.
  std::uint32_t thread_count = 0;
  std::int32_t threads[kMaxThreads] = {};
  char names[kMaxNames][kNameBytes] = {};  // of the first ones
  std::uint32_t descriptor_count = 0;
  std::int32_t descriptors[kMaxDescriptors] = {};
  // The other ends of those that are connections of the internet, as a child's
  // work may end them before anybody looks; sin6_family is 0 for others.
  sockaddr_in6 peers[kMaxDescriptors] = {};
  std::uint32_t started_count = 0;
  StartedThread started[kMaxThreadStacks];
  std::uint32_t handler_count = 0;
  std::uint64_t handlers[kMaxHandlers] = {};  // given to pthread_atfork
};

}  // namespace forkserver::guard
