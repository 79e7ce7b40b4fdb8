// The functions that libforkguard stands before, as libc has them.
//
// Linux: REAL(fork)() calls the next one in the order of libraries, found when
// the library is loaded: a forked child must not look for it. macOS: calls out
// of the library itself are not interposed.
#pragma once

#ifdef __linux__

#include <pty.h>

#define GUARD(name) name
#define GUARD_CONST const

extern "C" int __register_atfork(void (*prepare)(void), void (*parent)(void),
                                 void (*child)(void), void* library);

#define GUARD_FUNCTIONS(each)                                            \
  each(fork) each(_Fork) each(forkpty) each(daemon) each(pthread_create) \
      each(__register_atfork) each(execve) each(execv) each(execvp)      \
          each(execvpe) each(fexecve) each(execveat)

namespace forkserver::guard {

#define GUARD_INDEX(name) kReal_##name,
enum RealFunction { GUARD_FUNCTIONS(GUARD_INDEX) kRealFunctions };

void* FindReal(RealFunction function);

}  // namespace forkserver::guard

#define REAL(name)                     \
  reinterpret_cast<decltype(&::name)>( \
      ::forkserver::guard::FindReal(::forkserver::guard::kReal_##name))

#else

#include <sys/ioctl.h>
#include <termios.h>

#define GUARD(name) guard_##name
#define GUARD_CONST

// daemon(3) is deprecated, and programs call it.
#pragma clang diagnostic ignored "-Wdeprecated-declarations"

// <util.h>, which not all have that compile this.
extern "C" int forkpty(int* master, char* name, struct termios* terminal,
                       struct winsize* size);
#define REAL(name) (&::name)

#endif
