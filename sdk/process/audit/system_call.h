// The system call that a thread waits in, as /proc tells of it, and the list
// of a process's threads. Linux only.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace forkserver::audit {

struct SystemCall {
  bool running = false;  // in no system call, on a processor
  long number = -1;
  std::uint64_t first_argument = 0;
  std::uint64_t stack_pointer = 0;
  std::uint64_t program_counter = 0;
};

// The text of /proc/PID/task/TID/syscall.
SystemCall ParseSystemCall(const std::string& text);

// "waits for a lock or a condition (futex)", or "" for one without a phrase.
const char* Describe(long system_call);

// In the order of their numbers; empty when they cannot be listed.
std::vector<std::int64_t> ListThreadIds(pid_t pid);

}  // namespace forkserver::audit
