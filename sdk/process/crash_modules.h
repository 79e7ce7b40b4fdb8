// What a crash handler asks of the system. Everything here is
// async-signal-safe and allocates nothing. For one thread at a time.
#pragma once

#include <csignal>
#include <cstddef>
#include <cstdint>

namespace forkserver {

// A place in a program or library: what is left of an address when the
// process is gone. `offset` is from where the module begins in memory, so that
// its own address is `offset` plus that of its first segment.
struct CrashPlace {
  std::uintptr_t address = 0;
  const char* module = nullptr;  // its path; nullptr: in no module
  std::uintptr_t offset = 0;
};

// Fills in module and offset of each. The paths are in `paths` then.
void FindModules(CrashPlace* places, std::size_t count, char* paths,
                 std::size_t paths_size) noexcept;

// The calling thread. Its name is zero-terminated, empty if unknown.
std::int64_t CrashedThread(char* name, std::size_t size) noexcept;

// The program counter that a handler's third argument holds; 0: unknown.
// `caller`: where it would return to if it had been called just now, or 0.
std::uintptr_t ProgramCounter(const void* context,
                              std::uintptr_t* caller) noexcept;

// A second description of descriptor 2, to read it; -1 if there is none.
int ReopenStandardError() noexcept;

// The signal is pending for this thread again, with the same siginfo where
// that can be.
void RaiseAgain(int signal, siginfo_t* info) noexcept;

}  // namespace forkserver
