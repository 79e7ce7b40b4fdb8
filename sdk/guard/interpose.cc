// libforkguard: preloaded into somebody else's program, it watches fork.
//
// Linux: the functions here come before libc's (LD_PRELOAD). What libc calls
// within itself is not seen: posix_spawn, system, popen and vfork, which are
// safe ways, and need not be. A bare clone(2) is not seen either.
#include <dlfcn.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/types.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstddef>

#include "sdk/guard/fork_watch.h"
#include "sdk/guard/real_functions.h"
#include "sdk/guard/thread_table.h"

using namespace forkserver::guard;

namespace {

template <typename Call>
pid_t Fork(const void* caller, bool may_not_return, Call call) {
  const ForkAttempt attempt = BeforeFork(caller, may_not_return);
  if (attempt.refused) {
    errno = EAGAIN;
    return -1;
  }
  const pid_t result = call();
  const int saved = errno;
  if (result == 0) {
    AfterForkInChild(attempt);
  } else if (!may_not_return) {
    AfterForkInParent(attempt, result);
  }
  errno = saved;
  return result;
}

#define CALLER __builtin_return_address(0)

// The arguments of execl and its like, up to their null pointer.
#define COLLECT_ARGUMENTS(first, arguments)                               \
  va_list list, again;                                                    \
  va_start(list, first);                                                  \
  va_copy(again, list);                                                   \
  std::size_t count = 1;                                                  \
  while (va_arg(list, const char*) != nullptr) ++count;                   \
  va_end(list);                                                           \
  char** const arguments =                                                \
      static_cast<char**>(__builtin_alloca((count + 1) * sizeof(char*))); \
  arguments[0] = const_cast<char*>(first);                                \
  for (std::size_t i = 1; i <= count; ++i) {                              \
    arguments[i] = va_arg(again, char*);                                  \
  }

}  // namespace

extern "C" {
// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name)

pid_t GUARD(fork)(void) noexcept {
  return Fork(CALLER, false, [] { return REAL(fork)(); });
}

#ifdef __linux__
pid_t _Fork(void) noexcept {
  return Fork(CALLER, false, [] { return REAL(_Fork)(); });
}

pid_t __fork(void) noexcept {
  return Fork(CALLER, false, [] { return REAL(fork)(); });
}
#endif

pid_t GUARD(forkpty)(int* master, char* name, GUARD_CONST termios* terminal,
                     GUARD_CONST winsize* size) noexcept {
  return Fork(CALLER, false,
              [=] { return REAL(forkpty)(master, name, terminal, size); });
}

// The parent ends in it.
int GUARD(daemon)(int keep_folder, int keep_streams) noexcept {
  return Fork(CALLER, true,
              [=] { return REAL(daemon)(keep_folder, keep_streams); });
}

int GUARD(pthread_create)(pthread_t* thread, const pthread_attr_t* attributes,
                          void* (*function)(void*), void* argument) noexcept {
  if (!IsOn()) {
    return REAL(pthread_create)(thread, attributes, function, argument);
  }
  Stack stack;
  CaptureStack(CALLER, kMaxThreadFrames, stack);
  void* const note = NoteThread(function, argument, stack);
  if (note == nullptr) {
    return REAL(pthread_create)(thread, attributes, function, argument);
  }
  const int error =
      REAL(pthread_create)(thread, attributes, &RunNotedThread, note);
  if (error != 0) ForgetThread(note);
  return error;
}

#ifdef __linux__
// What pthread_atfork, a part of each library, calls.
int __register_atfork(void (*prepare)(void), void (*parent)(void),
                      void (*child)(void), void* library) {
  NoteForkHandler(reinterpret_cast<const void*>(prepare != nullptr ? prepare
                                                : child != nullptr ? child
                                                                   : parent));
  return REAL(__register_atfork)(prepare, parent, child, library);
}
#else
int GUARD(pthread_atfork)(void (*prepare)(void), void (*parent)(void),
                          void (*child)(void)) {
  NoteForkHandler(reinterpret_cast<const void*>(prepare != nullptr ? prepare
                                                : child != nullptr ? child
                                                                   : parent));
  return REAL(pthread_atfork)(prepare, parent, child);
}
#endif

int GUARD(execve)(const char* path, char* const arguments[],
                  char* const environment[]) noexcept {
  BeforeExec();
  return REAL(execve)(path, arguments, environment);
}

int GUARD(execv)(const char* path, char* const arguments[]) noexcept {
  BeforeExec();
  return REAL(execv)(path, arguments);
}

int GUARD(execvp)(const char* file, char* const arguments[]) noexcept {
  BeforeExec();
  return REAL(execvp)(file, arguments);
}

int GUARD(execl)(const char* path, const char* first, ...) noexcept {
  COLLECT_ARGUMENTS(first, arguments);
  va_end(again);
  BeforeExec();
  return REAL(execv)(path, arguments);
}

int GUARD(execlp)(const char* file, const char* first, ...) noexcept {
  COLLECT_ARGUMENTS(first, arguments);
  va_end(again);
  BeforeExec();
  return REAL(execvp)(file, arguments);
}

int GUARD(execle)(const char* path, const char* first, ...) noexcept {
  COLLECT_ARGUMENTS(first, arguments);
  char* const* const environment = va_arg(again, char* const*);
  va_end(again);
  BeforeExec();
  return REAL(execve)(path, arguments, environment);
}

#ifdef __linux__
int execvpe(const char* file, char* const arguments[],
            char* const environment[]) noexcept {
  BeforeExec();
  return REAL(execvpe)(file, arguments, environment);
}

int fexecve(int fd, char* const arguments[],
            char* const environment[]) noexcept {
  BeforeExec();
  return REAL(fexecve)(fd, arguments, environment);
}

int execveat(int folder, const char* path, char* const arguments[],
             char* const environment[], int flags) noexcept {
  BeforeExec();
  return REAL(execveat)(folder, path, arguments, environment, flags);
}
#endif

// NOLINTEND(readability-inconsistent-declaration-parameter-name)
}  // extern "C"

#ifndef __linux__
// dyld(1): whoever calls the second gets the first.
struct Interposed {
  const void* replacement;
  const void* original;
};

#define INTERPOSED(name)                        \
  {                                             \
    reinterpret_cast<const void*>(GUARD(name)), \
        reinterpret_cast<const void*>(&::name)  \
  }

[[gnu::used,
  gnu::section("__DATA,__interpose")]] static const Interposed kInterposed[] = {
    INTERPOSED(fork),           INTERPOSED(forkpty),        INTERPOSED(daemon),
    INTERPOSED(pthread_create), INTERPOSED(pthread_atfork), INTERPOSED(execve),
    INTERPOSED(execv),          INTERPOSED(execvp),         INTERPOSED(execl),
    INTERPOSED(execlp),         INTERPOSED(execle),
};
#endif
