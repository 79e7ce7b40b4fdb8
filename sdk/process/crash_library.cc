// libforkserver_crash: the crash handler for processes that do not link the
// SDK. Depends on libc and libgcc only.
//
// - A Python zygote loads it and calls the functions below.
// - Preloaded (LD_PRELOAD) it reports the crash of an exec worker: forkserverd
//   leaves it a file in memory when `crash_report` was asked for.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "sdk/process/crash_handler.h"

#define FORKSERVER_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

forkserver::CrashSlot current;
char* texts = nullptr;

char* TextAt(int slot) {
  if (texts == nullptr || slot < 0) return nullptr;
  return texts + static_cast<std::size_t>(slot) * forkserver::kCrashTextBytes;
}

// The file that forkserverd made, and no other that has its number now: only
// it is sealed, and of that size.
bool IsCrashFile(int fd) {
#ifdef F_GET_SEALS
  struct stat info = {};
  const int seals = ::fcntl(fd, F_GET_SEALS);
  return seals >= 0 && (seals & F_SEAL_GROW) != 0 &&
         (seals & F_SEAL_SHRINK) != 0 && ::fstat(fd, &info) == 0 &&
         info.st_size == static_cast<off_t>(forkserver::kCrashTextBytes);
#else
  static_cast<void>(fd);
  return false;
#endif
}

// "NUMBER:PID": the descriptor, and forkserverd, whose child the worker is. It
// stays so over exec; a child of the worker has another parent.
__attribute__((constructor)) void StartIfAsked() {
  const char* const value = std::getenv("FORKSERVER_CRASH_FD");
  if (value == nullptr) return;
  const int fd = std::atoi(value);
  const char* const colon = std::strchr(value, ':');
  if (fd < 3 || colon == nullptr || !IsCrashFile(fd)) return;
  if (std::atoi(colon + 1) != ::getppid()) {
    ::close(fd);
    return;
  }
  void* const memory = ::mmap(nullptr, forkserver::kCrashTextBytes,
                              PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return;
  current.text = static_cast<char*>(memory);
  current.parent = ::getppid();
  forkserver::InstallCrashHandler(&current, forkserver::OtherHandlers::kKeep);
}

}  // namespace

// `count` slots, and the handler, which runs before whatever is installed.
// Returns 0, or -1 without memory. Again: new slots.
FORKSERVER_EXPORT int forkserver_crash_start(int count) {
  current.text = nullptr;
  current.parent = ::getpid();
  texts = forkserver::MapCrashTexts(static_cast<std::size_t>(count));
  if (texts == nullptr) return -1;
  forkserver::InstallCrashHandler(&current, forkserver::OtherHandlers::kChain);
  return 0;
}

// The slot of the child that is forked next; -1: crashes are written nowhere.
FORKSERVER_EXPORT void forkserver_crash_choose(int slot) {
  current.text = TextAt(slot);
}

// Moves what was written to a slot to `buffer`; returns how much.
FORKSERVER_EXPORT std::size_t forkserver_crash_take(int slot, char* buffer,
                                                    std::size_t size) {
  char* const text = TextAt(slot);
  if (text == nullptr) return 0;
  std::size_t length = ::strnlen(text, forkserver::kCrashTextBytes);
  if (length > size) length = size;
  std::memcpy(buffer, text, length);
  text[0] = '\0';
  return length;
}
