// Writes down how this process crashed, for whoever reads it when it is gone.
//
// A handler for the signals that a crash raises, and for SIGTERM, which ends
// what hangs. It writes a text into memory
// that another process shares, then puts back what was there before and raises
// the signal again with its own siginfo: wait status, core file and other
// handlers are as they would be without it. It costs nothing until then, and
// children that are forked have it without a system call; exec drops it.
//
// The text, in this order, as far as it got:
//
//   signal NUMBER CODE ADDRESS    of siginfo_t; the address 0x..., or -
//   thread TID NAME
//   at MODULE OFFSET              the module that ADDRESS is in, if it is in
//   one frame MODULE OFFSET           innermost first; see CrashModules stderr
//   all that follows is the end of descriptor 2,
//                                 if that is a regular file
//
// Everything that runs in the handler is async-signal-safe and allocates
// nothing; it unwinds by libgcc. Depends on libc and libgcc only.
#pragma once

#include <sys/types.h>

#include <cstddef>

namespace forkserver {

// Of one text, its end included.
inline constexpr std::size_t kCrashTextBytes = 4096;

// Where the next crash is written to. Read by the handler, written by its
// owner at any time.
struct CrashSlot {
  // Zero-terminated text of kCrashTextBytes; nullptr: nothing is written.
  char* volatile text = nullptr;
  // Only a crash of a child of this process is written: children of that child
  // have the same handler.
  volatile pid_t parent = 0;
};

enum class OtherHandlers {
  kKeep,   // where somebody has a handler there is none of ours
  kChain,  // theirs runs after ours, except of SIGTERM
};

// `slot` is borrowed for ever, or until the next call. Calling it again only
// changes the slot; nullptr is allowed. Does nothing in a program that is built
// with AddressSanitizer, which reports crashes itself.
void InstallCrashHandler(const CrashSlot* slot, OtherHandlers others) noexcept;

// `count` texts, one after the other, that children forked from here share.
// Takes memory only for those that are written. nullptr: none.
char* MapCrashTexts(std::size_t count) noexcept;

}  // namespace forkserver
