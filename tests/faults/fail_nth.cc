// Preloaded into forkserverd, it makes the nth call of a chosen function fail.
//
// FAIL_CONTROL names a file that holds a Control; a test maps it too, arms a
// fault and sees whether it was hit. Only calls of the program itself count:
// libuv aborts when its own epoll_ctl fails, which is no fault to inject.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace {

struct Control {
  char call[32];       // the function to fail; empty: none
  std::int32_t nth;    // which of its calls from now on, from 1
  std::int32_t error;  // the errno
  std::int32_t count;  // calls since it was armed
  std::int32_t hit;    // 1 when it has failed
};

Control* MapControl() {
  const char* const path = getenv("FAIL_CONTROL");
  if (path == nullptr) return nullptr;
  // By hand: this library's own open and mmap are not to be counted.
  using Open = int (*)(const char*, int, ...);
  using Mmap = void* (*)(void*, std::size_t, int, int, int, off_t);
  const auto open_file = reinterpret_cast<Open>(dlsym(RTLD_NEXT, "open"));
  const auto map = reinterpret_cast<Mmap>(dlsym(RTLD_NEXT, "mmap"));
  const int fd = open_file(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return nullptr;
  void* const memory =
      map(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  return memory == MAP_FAILED ? nullptr : static_cast<Control*>(memory);
}

Control* control = nullptr;

__attribute__((constructor)) void Prepare() { control = MapControl(); }

bool Fails(const char* call) {
  if (control == nullptr || std::strcmp(control->call, call) != 0) {
    return false;
  }
  if (++control->count != control->nth) return false;
  control->hit = 1;
  errno = control->error;
  return true;
}

bool CalledByLibuv(const void* address) {
  Dl_info info = {};
  return dladdr(address, &info) != 0 && info.dli_fname != nullptr &&
         std::strstr(info.dli_fname, "libuv") != nullptr;
}

template <typename Function>
Function* Real(Function*, const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

// The first line of each: the function as the next library has it.
#define REAL(name)          \
  static auto* const real = \
      Real(static_cast<decltype(::name)*>(nullptr), #name);

extern "C" {

int clone(int (*function)(void*), void* stack, int flags, void* argument, ...) {
  REAL(clone)
  va_list more;
  va_start(more, argument);
  auto* const parent_tid = va_arg(more, void*);
  va_end(more);
  if (Fails("clone")) return -1;
  return real(function, stack, flags, argument, parent_tid, nullptr, nullptr);
}

pid_t fork() {
  REAL(fork)
  return Fails("fork") ? -1 : real();
}

int pipe2(int fds[2], int flags) {
  REAL(pipe2)
  return Fails("pipe2") ? -1 : real(fds, flags);
}

int socketpair(int domain, int type, int protocol, int fds[2]) {
  REAL(socketpair)
  return Fails("socketpair") ? -1 : real(domain, type, protocol, fds);
}

ssize_t recvmsg(int fd, msghdr* message, int flags) {
  REAL(recvmsg)
  return Fails("recvmsg") ? -1 : real(fd, message, flags);
}

ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  REAL(sendmsg)
  return Fails("sendmsg") ? -1 : real(fd, message, flags);
}

int accept4(int fd, sockaddr* address, socklen_t* size, int flags) {
  REAL(accept4)
  return Fails("accept4") ? -1 : real(fd, address, size, flags);
}

int epoll_ctl(int set, int operation, int fd, epoll_event* event) {
  REAL(epoll_ctl)
  if (operation == EPOLL_CTL_ADD &&
      !CalledByLibuv(__builtin_return_address(0)) && Fails("epoll_ctl")) {
    return -1;
  }
  return real(set, operation, fd, event);
}

void* mmap(void* address, std::size_t size, int protection, int flags, int fd,
           off_t offset) {
  REAL(mmap)
  if (Fails("mmap")) return MAP_FAILED;
  return real(address, size, protection, flags, fd, offset);
}

int open(const char* path, int flags, ...) {
  REAL(open)
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  return Fails("open") ? -1 : real(path, flags, mode);
}

int fcntl(int fd, int command, ...) {
  REAL(fcntl)
  va_list more;
  va_start(more, command);
  void* const argument = va_arg(more, void*);
  va_end(more);
  if (command == F_DUPFD_CLOEXEC && Fails("fcntl")) return -1;
  return real(fd, command, argument);
}

}  // extern "C"
