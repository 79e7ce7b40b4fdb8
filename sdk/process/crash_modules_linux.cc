#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "sdk/process/crash_modules.h"

namespace forkserver {
namespace {

// One line of /proc/self/maps, as far as it is needed. A path that is longer
// than the buffer is cut.
struct Mapping {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  std::uintptr_t file_offset = 0;
  const char* path = "";
};

std::uintptr_t TakeHex(const char*& text) {
  std::uintptr_t value = 0;
  for (;; ++text) {
    const char digit = *text;
    if (digit >= '0' && digit <= '9') {
      value = value << 4 | static_cast<std::uintptr_t>(digit - '0');
    } else if (digit >= 'a' && digit <= 'f') {
      value = value << 4 | static_cast<std::uintptr_t>(digit - 'a' + 10);
    } else {
      return value;
    }
  }
}

// "7f00-7f08 r-xp 00001000 08:01 1234    /usr/lib/x.so"
Mapping ParseMapping(const char* line) {
  Mapping mapping;
  mapping.begin = TakeHex(line);
  if (*line == '-') ++line;
  mapping.end = TakeHex(line);
  for (int field = 0; field < 4; ++field) {
    while (*line == ' ') ++line;
    if (field == 1) {
      mapping.file_offset = TakeHex(line);
    } else {
      while (*line != ' ' && *line != '\0') ++line;
    }
  }
  while (*line == ' ') ++line;
  mapping.path = line;
  return mapping;
}

// Not on the stack, which may be that of a thread with little: only one thread
// writes a report.
char file_buffer[2048];
char line_buffer[1024];
char base_path[sizeof(line_buffer)];

// Reads a file line by line with read(2).
class LineReader {
 public:
  explicit LineReader(int fd) : fd_(fd) {}

  // nullptr at the end. The rest of a line that is too long is dropped.
  const char* Next() {
    std::size_t length = 0;
    bool any = false;
    for (;;) {
      if (at_ == filled_) {
        const ssize_t got = ::read(fd_, file_buffer, sizeof(file_buffer));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        at_ = 0;
        filled_ = static_cast<std::size_t>(got);
      }
      any = true;
      const char letter = file_buffer[at_++];
      if (letter == '\n') break;
      if (length + 1 < sizeof(line_buffer)) line_buffer[length++] = letter;
    }
    line_buffer[length] = '\0';
    return any ? line_buffer : nullptr;
  }

 private:
  const int fd_;
  std::size_t at_ = 0;
  std::size_t filled_ = 0;
};

}  // namespace

void FindModules(CrashPlace* places, std::size_t count, char* paths,
                 std::size_t paths_size) noexcept {
  const int fd = ::open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  LineReader reader(fd);
  // The file of the mappings around, and where its beginning is: its segments
  // follow each other.
  std::uintptr_t base = 0;
  base_path[0] = '\0';
  std::size_t used = 0;
  while (const char* line = reader.Next()) {
    const Mapping mapping = ParseMapping(line);
    if (mapping.path[0] == '\0') continue;
    if (mapping.file_offset == 0 && std::strcmp(mapping.path, base_path) != 0) {
      base = mapping.begin;
      std::memcpy(base_path, mapping.path, std::strlen(mapping.path) + 1);
    }
    const char* kept = nullptr;
    for (std::size_t i = 0; i < count; ++i) {
      CrashPlace& place = places[i];
      if (place.address < mapping.begin || place.address >= mapping.end) {
        continue;
      }
      if (kept == nullptr) {
        const std::size_t size = std::strlen(mapping.path) + 1;
        if (used + size > paths_size) continue;
        kept = paths + used;
        std::memcpy(paths + used, mapping.path, size);
        used += size;
      }
      place.module = kept;
      place.offset = std::strcmp(mapping.path, base_path) == 0
                         ? place.address - base
                         : place.address - mapping.begin + mapping.file_offset;
    }
  }
  ::close(fd);
}

std::int64_t CrashedThread(char* name, std::size_t size) noexcept {
  char own[16] = "";
  ::prctl(PR_GET_NAME, own);
  std::size_t length = 0;
  while (length < sizeof(own) && length + 1 < size && own[length] != '\0') {
    name[length] = own[length];
    ++length;
  }
  name[length] = '\0';
  return ::syscall(SYS_gettid);
}

std::uintptr_t ProgramCounter(const void* context,
                              std::uintptr_t* caller) noexcept {
  *caller = 0;
  const auto* user = static_cast<const ucontext_t*>(context);
#if defined(__x86_64__)
  const auto counter =
      static_cast<std::uintptr_t>(user->uc_mcontext.gregs[REG_RIP]);
  // A call of nothing: its return address is on top of the stack.
  if (counter < 4096) {
    const auto* stack = reinterpret_cast<const std::uintptr_t*>(
        user->uc_mcontext.gregs[REG_RSP]);
    *caller = *stack;
  }
  return counter;
#elif defined(__aarch64__)
  const auto counter = static_cast<std::uintptr_t>(user->uc_mcontext.pc);
  if (counter < 4096) {
    *caller = static_cast<std::uintptr_t>(user->uc_mcontext.regs[30]);
  }
  return counter;
#else
  static_cast<void>(user);
  return 0;
#endif
}

int ReopenStandardError() noexcept {
  return ::open("/proc/self/fd/2", O_RDONLY | O_CLOEXEC | O_NOCTTY);
}

void RaiseAgain(int signal, siginfo_t* info) noexcept {
  const pid_t pid = ::getpid();
  const long tid = ::syscall(SYS_gettid);
  if (::syscall(SYS_rt_tgsigqueueinfo, pid, tid, signal, info) != 0) {
    ::syscall(SYS_tgkill, pid, tid, signal);
  }
}

}  // namespace forkserver
