#include <fcntl.h>
#include <mach-o/dyld.h>
#include <mach-o/loader.h>
#include <pthread.h>
#include <sys/param.h>

#include <cstring>

#include "sdk/process/crash_modules.h"

namespace forkserver {
namespace {

// The end of the text segment: an image is mapped from its header on.
std::uintptr_t TextSize(const mach_header* header) {
  if (header->magic != MH_MAGIC_64) return 0;
  const auto* command = reinterpret_cast<const load_command*>(
      reinterpret_cast<const char*>(header) + sizeof(mach_header_64));
  for (std::uint32_t i = 0; i < header->ncmds; ++i) {
    if (command->cmd == LC_SEGMENT_64) {
      const auto* segment =
          reinterpret_cast<const segment_command_64*>(command);
      if (std::strcmp(segment->segname, SEG_TEXT) == 0) return segment->vmsize;
    }
    command = reinterpret_cast<const load_command*>(
        reinterpret_cast<const char*>(command) + command->cmdsize);
  }
  return 0;
}

}  // namespace

// dyld keeps the names for as long as the images are loaded.
void FindModules(CrashPlace* places, std::size_t count, char*,
                 std::size_t) noexcept {
  const std::uint32_t images = ::_dyld_image_count();
  for (std::uint32_t image = 0; image < images; ++image) {
    const mach_header* header = ::_dyld_get_image_header(image);
    if (header == nullptr) continue;
    const auto begin = reinterpret_cast<std::uintptr_t>(header);
    const std::uintptr_t size = TextSize(header);
    for (std::size_t i = 0; i < count; ++i) {
      if (places[i].address < begin || places[i].address - begin >= size) {
        continue;
      }
      places[i].module = ::_dyld_get_image_name(image);
      places[i].offset = places[i].address - begin;
    }
  }
}

std::int64_t CrashedThread(char* name, std::size_t size) noexcept {
  name[0] = '\0';
  ::pthread_getname_np(::pthread_self(), name, size);
  std::uint64_t tid = 0;
  ::pthread_threadid_np(nullptr, &tid);
  return static_cast<std::int64_t>(tid);
}

std::uintptr_t ProgramCounter(const void*, std::uintptr_t* caller) noexcept {
  *caller = 0;
  return 0;
}

int ReopenStandardError() noexcept {
  char path[MAXPATHLEN];
  if (::fcntl(2, F_GETPATH, path) != 0) return -1;
  return ::open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
}

void RaiseAgain(int signal, siginfo_t*) noexcept {
  ::pthread_kill(::pthread_self(), signal);
}

}  // namespace forkserver
