// How a child of this process ended, read without reaping it. The two sides
// are child_status_linux.cc and child_status_darwin.cc.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

namespace forkserver {

struct ChildEnd {
  pid_t pid = 0;
  std::optional<int> code;  // one of these two
  std::optional<int> signal;
  bool core = false;
  // Of the child and the descendants that it waited for.
  std::int64_t max_rss_bytes = 0;
  std::int64_t user_us = 0;
  std::int64_t system_us = 0;
};

inline constexpr pid_t kAnyChild = 0;

enum class ChildWait { kPoll, kBlock };

// The end of child `pid`, which stays a zombie, or with kAnyChild of one child
// that has ended; nullopt when there is none. With kBlock waits for an end.
std::optional<ChildEnd> PeekEndedChild(pid_t pid, ChildWait wait);

// Reaps a child that PeekEndedChild has told of.
void ReapChild(pid_t pid);

}  // namespace forkserver
