#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <initializer_list>

#include "sdk/guard/snapshot.h"

namespace forkserver::guard {
namespace {

struct Entry {
  std::uint64_t inode;
  std::int64_t offset;
  unsigned short size;
  unsigned char type;
  char name[1];
};

// Calls `take(folder, name, number)` for each entry that is a number, until it
// returns false.
template <typename Take>
void ForEachNumber(const char* path, Take take) {
  const int folder = ::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  alignas(Entry) char buffer[2048];
  bool more = true;
  while (more) {
    const long size = ::syscall(SYS_getdents64, folder, buffer, sizeof(buffer));
    if (size <= 0) break;
    for (long at = 0; at < size && more;) {
      const auto* entry = reinterpret_cast<const Entry*>(buffer + at);
      at += entry->size;
      if (entry->name[0] < '0' || entry->name[0] > '9') continue;
      int number = 0;
      for (const char* digit = entry->name; *digit != '\0'; ++digit) {
        number = number * 10 + (*digit - '0');
      }
      if (number != folder) more = take(folder, entry->name, number);
    }
  }
  ::close(folder);
}

bool BeginsWith(const char* text, const char* start) {
  return std::strncmp(text, start, std::strlen(start)) == 0;
}

bool IsUncommon(int folder, const char* name) {
  char target[64];
  const ssize_t size = ::readlinkat(folder, name, target, sizeof(target) - 1);
  if (size <= 0) return false;
  target[size] = '\0';
  if (BeginsWith(target, "/dev/")) {
    for (const char* plain :
         {"/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/pts/",
          "/dev/shm/", "/dev/random", "/dev/urandom", "/dev/console"}) {
      if (BeginsWith(target, plain)) return false;
    }
    return true;
  }
  return BeginsWith(target, "socket:") || BeginsWith(target, "anon_inode:");
}

void ReadName(int folder, const char* thread, char (&name)[kNameBytes]) {
  char path[32];
  std::strcpy(path, thread);
  std::strcat(path, "/comm");
  const int fd = ::openat(folder, path, O_RDONLY | O_CLOEXEC);
  const ssize_t size = fd < 0 ? 0 : ::read(fd, name, kNameBytes - 1);
  if (fd >= 0) ::close(fd);
  name[size > 0 ? size - 1 : 0] = '\0';  // it ends with a line feed
}

}  // namespace

std::int64_t ThisThread() { return ::syscall(SYS_gettid); }

int CountThreads() {
  struct stat status = {};
  // One link for each thread, and the folder's own two (proc(5)).
  if (::stat("/proc/self/task", &status) != 0) return 1;
  return static_cast<int>(status.st_nlink) - 2;
}

void ListThreads(ForkRecord& record) {
  record.thread_count = 0;
  ForEachNumber("/proc/self/task", [&](int folder, const char* name, int id) {
    if (record.thread_count < kMaxThreads) {
      record.threads[record.thread_count] = id;
    }
    if (record.thread_count < kMaxNames) {
      ReadName(folder, name, record.names[record.thread_count]);
    }
    return record.thread_count++ < kMaxThreads;
  });
}

void ListDescriptors(ForkRecord& record) {
  record.descriptor_count = 0;
  ForEachNumber("/proc/self/fd", [&](int, const char*, int fd) {
    if (record.descriptor_count < kMaxDescriptors) {
      record.descriptors[record.descriptor_count] = fd;
      sockaddr_in6& peer = record.peers[record.descriptor_count];
      socklen_t size = sizeof(peer);
      peer = {};
      if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0 ||
          (peer.sin6_family != AF_INET && peer.sin6_family != AF_INET6)) {
        peer = {};
      }
    }
    return record.descriptor_count++ < kMaxDescriptors;
  });
}

bool HasUncommonDescriptor() {
  bool found = false;
  int looked_at = 0;
  ForEachNumber("/proc/self/fd", [&](int folder, const char* name, int fd) {
    // The streams are given, and so many are worth a closer look in any case.
    found =
        (fd > 2 && IsUncommon(folder, name)) || ++looked_at > kMaxDescriptors;
    return !found;
  });
  return found;
}

}  // namespace forkserver::guard
