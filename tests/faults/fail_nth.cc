// Preloaded into forkserverd, a zygote or a client, it makes the nth call of a
// chosen function fail.
//
// FAIL_CONTROL names a file that holds a Control; a test maps it too, arms a
// fault and sees whether it was hit. What libuv calls has a name of its own:
// "uv_epoll_ctl".
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
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

int socket(int domain, int type, int protocol) {
  REAL(socket)
  return Fails("socket") ? -1 : real(domain, type, protocol);
}

int connect(int fd, const sockaddr* address, socklen_t size) {
  REAL(connect)
  return Fails("connect") ? -1 : real(fd, address, size);
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
  const bool by_libuv = CalledByLibuv(__builtin_return_address(0));
  const int outcome = real(set, operation, fd, event);
  // What is registered already needs no memory to be refused.
  if (operation != EPOLL_CTL_ADD || outcome != 0 ||
      !Fails(by_libuv ? "uv_epoll_ctl" : "epoll_ctl")) {
    return outcome;
  }
  const int error = errno;
  real(set, EPOLL_CTL_DEL, fd, event);
  errno = error;
  return -1;
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

ssize_t write(int fd, const void* data, std::size_t size) {
  REAL(write)
  return Fails("write") ? -1 : real(fd, data, size);
}

int poll(pollfd* fds, nfds_t count, int timeout) {
  REAL(poll)
  return Fails("poll") ? -1 : real(fds, count, timeout);
}

int pselect(int count, fd_set* read, fd_set* write, fd_set* except,
            const timespec* timeout, const sigset_t* mask) {
  REAL(pselect)
  if (Fails("pselect")) return -1;
  return real(count, read, write, except, timeout, mask);
}

int stat(const char* path, struct stat* info) noexcept {
  static auto* const real =
      reinterpret_cast<int (*)(const char*, struct stat*)>(
          dlsym(RTLD_NEXT, "stat"));
  return Fails("stat") ? -1 : real(path, info);
}

DIR* opendir(const char* path) {
  REAL(opendir)
  return Fails("opendir") ? nullptr : real(path);
}

pid_t waitpid(pid_t pid, int* status, int options) {
  REAL(waitpid)
  return Fails("waitpid") ? -1 : real(pid, status, options);
}

int posix_spawn(pid_t* pid, const char* path,
                const posix_spawn_file_actions_t* actions,
                const posix_spawnattr_t* attributes, char* const argv[],
                char* const environment[]) {
  REAL(posix_spawn)
  // It returns the error instead of setting errno.
  if (Fails("posix_spawn")) return errno;
  return real(pid, path, actions, attributes, argv, environment);
}

// What libc has no wrapper for, or not one that is good enough.
long syscall(long number, ...) noexcept {
  static auto* const real =
      reinterpret_cast<long (*)(long, ...)>(dlsym(RTLD_NEXT, "syscall"));
  va_list more;
  va_start(more, number);
  long arguments[6];
  for (long& argument : arguments) argument = va_arg(more, long);
  va_end(more);
  if (number == SYS_waitid && Fails("waitid")) return -1;
  if (number == SYS_pidfd_open && Fails("pidfd_open")) return -1;
  return real(number, arguments[0], arguments[1], arguments[2], arguments[3],
              arguments[4], arguments[5]);
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
