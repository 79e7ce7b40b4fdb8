// What differs between Linux and macOS, one function each. Passive; nothing
// here starts a thread, and nothing blocks unless it says so. The two sides
// are platform_linux.cc and platform_darwin.cc.
#pragma once

#include <forkserver/result.h>
#include <forkserver/types.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sdk/base/unique_fd.h"

namespace forkserver {

// CLOCK_MONOTONIC, comparable between the processes of one machine.
std::int64_t MonotonicNanoseconds();

// --- this process ---

struct ThreadInfo {
  std::int64_t id = 0;
  std::string name;
};
// The number of threads, by one system call; -1 when it cannot be read.
int CountThreads();
std::vector<ThreadInfo> ListThreads();
// "1234 'OMP worker', 1240 ''": every thread but the first, for messages.
std::string DescribeExtraThreads();

// Open descriptors, or -1 when they cannot be counted.
int CountOpenFds();
// Empty when they cannot be listed.
std::vector<int> ListOpenFds();
// The files of the program and of the libraries that are loaded, sorted.
std::vector<std::string> ListLibraries();

// Closes every descriptor from `first` on except those of `keep`.
void CloseDescriptorsFrom(int first, const std::vector<int>& keep);

// What is pending for this process is not any more, and every signal that can
// be is ignored.
void ForgetPendingSignals();

// All dispositions to default, no signal blocked.
void ResetSignals();

// Orphaned descendants can become children of a process that asks for it.
#ifdef __linux__
inline constexpr bool kHasSubreaper = true;
#else
inline constexpr bool kHasSubreaper = false;
#endif
// Asks for it. False where the system has no such thing (macOS).
bool BecomeSubreaper();

// Blocks SIGCHLD and returns a descriptor that is readable while one is
// pending. Invalid where there is no subreaper and so nothing to sweep for
// (macOS).
UniqueFd OpenChildSignal();
// Takes the pending SIGCHLD, if there is one, and returns the pid of a child
// that ended, or 0. Of several that ended at about the same time only one is
// told.
pid_t ReadChildSignal(int fd);

// Asks for `signal` when the parent dies; false if it died already, that is if
// it is not `expected_parent` any more. macOS: does nothing but that check.
bool SetParentDeathSignal(int signal, pid_t expected_parent);

// Stops this process until somebody continues it, and lets any process of the
// same user trace it (Linux, where only ancestors may otherwise).
void StopForDebugger();

// environ(7) of this process, which shared libraries do not see on macOS.
char** OwnEnvironment();

// This process shall run soon when it wakes up, rather than long: a child that
// computes does not keep it from answering. Children have the system's default
// again. Does nothing where the system has no such thing (Linux has it since
// 6.12), or a process of negative niceness, whose children would lose it.
void PreferShortSlices();

// The name that ps shows for this process; at most 15 bytes. macOS: nothing.
void SetProcessName(const char* name);

// The file of this program, or empty.
std::string ExecutablePath();

// Resident memory of this process in bytes, 0 when it cannot be read.
std::int64_t ResidentBytes();

// --- descriptors ---

// Another description of what `fd` is, for writing, that does not block
// whatever the flags of `fd` are. Invalid where there can be none: macOS.
UniqueFd ReopenForWriting(int fd);

// Another description of the file that `fd` is, close-on-exec; `flags` are
// those of open(2). Invalid if it cannot be opened again, with errno.
UniqueFd Reopen(int fd, int flags);

// A file in memory of a fixed size, sealed so that nobody can change that.
// Invalid where there is none: macOS.
UniqueFd MakeSealedFile(const char* name, std::size_t size);

// A file of this size for mmap(2) that has no name in any folder; invalid, with
// errno, if there can be none. `reserve`: its memory is there from the
// beginning, otherwise when it is written to.
UniqueFd MakeSharedFile(const char* name, std::size_t size, bool reserve);

// --- another process ---

struct Peer {
  pid_t pid = 0;
  uid_t uid = 0;
};
// Who connected, from the kernel.
Result<Peer> ReadPeer(int socket);

// A descriptor that stands for the process and is readable once it ended
// (pidfd), or an invalid one where the system has none. `socket` >= 0: the
// process that connected it, free of races where the kernel can (6.5).
UniqueFd OpenProcess(pid_t pid, int socket = -1);

// To a process by its OpenProcess descriptor; never to another one. False if
// it has ended or may not be signalled.
bool SignalProcess(int process_fd, int signal);

// True if the process is a zombie or gone.
bool ProcessHasEnded(pid_t pid);

// When a process began, as the system counts: two that have the same number
// one after the other differ in it. 0 if it cannot be read.
std::int64_t ReadStartTime(pid_t pid);

// Names the time since the system was started. Empty if it cannot be read.
std::string ReadBootId();

// How a process that need not be a child ended: its wait status, once its
// parent has reaped it. nullopt: not yet, or the system does not tell (Linux
// before 6.15, macOS).
std::optional<int> ReadWaitStatus(int process_fd);

// True if the process neither ignores nor handles the signal. False where that
// cannot be read.
bool TakesDefaultAction(pid_t pid, int signal);

// The limits of a process, by name; nullopt where they cannot be read. Those
// that `known` has with the same values are left out.
std::optional<ResourceLimits> ReadLimits(pid_t pid,
                                         const ResourceLimits& known = {});

// Why `pid` is more confined than this process ("no_new_privs is set", "it is
// in another mount namespace"), or empty if it is not. What cannot be read is
// a reason too.
std::string DescribeConfinement(pid_t pid);

// RLIMIT_ constant by lower-case name ("nofile"), or -1.
int LimitByName(const std::string& name);
// The names, for messages.
std::vector<std::string> LimitNames();

}  // namespace forkserver
