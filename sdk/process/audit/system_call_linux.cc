#include <dirent.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstdlib>

#include "sdk/process/audit/system_call.h"

namespace forkserver::audit {

// "running", or "number arguments... sp pc", or "-1 sp pc".
SystemCall ParseSystemCall(const std::string& text) {
  SystemCall call;
  call.running = text.compare(0, 7, "running") == 0;
  if (call.running || text.empty()) return call;
  std::vector<std::uint64_t> numbers;
  char* next = nullptr;
  call.number = std::strtol(text.c_str(), &next, 10);
  for (;;) {
    char* after = nullptr;
    const std::uint64_t number = std::strtoull(next, &after, 16);
    if (after == next) break;
    numbers.push_back(number);
    next = after;
  }
  if (numbers.size() < 2) return call;
  call.first_argument = numbers.front();
  call.stack_pointer = numbers[numbers.size() - 2];
  call.program_counter = numbers.back();
  return call;
}

const char* Describe(long system_call) {
  switch (system_call) {
    case SYS_futex:
      return "waits for a lock or a condition (futex)";
    case SYS_epoll_pwait:
#ifdef SYS_epoll_wait
    case SYS_epoll_wait:
#endif
      return "waits for events (epoll)";
    case SYS_ppoll:
    case SYS_pselect6:
#ifdef SYS_poll
    case SYS_poll:
    case SYS_select:
#endif
      return "waits for descriptors (poll)";
    case SYS_read:
    case SYS_readv:
    case SYS_recvfrom:
    case SYS_recvmsg:
      return "reads";
    case SYS_write:
    case SYS_writev:
    case SYS_sendto:
    case SYS_sendmsg:
      return "writes";
    case SYS_nanosleep:
    case SYS_clock_nanosleep:
      return "sleeps";
    case SYS_rt_sigtimedwait:
      return "waits for a signal";
    case SYS_accept:
    case SYS_accept4:
      return "waits for connections";
    default:
      return "";
  }
}

std::vector<std::int64_t> ListThreadIds(pid_t pid) {
  std::vector<std::int64_t> ids;
  const std::string folder = "/proc/" + std::to_string(pid) + "/task";
  DIR* const directory = ::opendir(folder.c_str());
  if (directory == nullptr) return ids;
  while (const dirent* entry = ::readdir(directory)) {
    if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9') {
      ids.push_back(std::atoll(entry->d_name));
    }
  }
  ::closedir(directory);
  std::sort(ids.begin(), ids.end());
  return ids;
}

}  // namespace forkserver::audit
