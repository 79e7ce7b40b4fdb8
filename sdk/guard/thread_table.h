// Who started each thread of this process: the stack that called
// pthread_create. Lock-free, so that a forked child can go on with it, and in
// memory of its own, of which an ended thread gives back its part.
#pragma once

#include <pthread.h>

#include "sdk/guard/fork_record.h"

namespace forkserver::guard {

// Before the first thread; once.
void StartThreadTable();

// What the started thread is to begin with, instead of its own function and
// argument; nullptr if there is no room. The first two words that it points to
// are those: the audit looks there (read_threads_linux.cc).
void* NoteThread(void* (*function)(void*), void* argument, const Stack& stack);
void* RunNotedThread(void* note);
// pthread_create failed.
void ForgetThread(void* note);

// Copies what is known of the threads that live now into `record`.
void CopyThreads(ForkRecord& record);
// There was a second thread at some time, maybe before a fork.
bool WasEverThreaded();
std::uint64_t ThreadsEverStarted();

// In a forked child: the other threads are not here.
void ForgetThreadsAfterFork();

// The stack from the function that called the one which has `caller` for its
// return address, up to `frames`.
void CaptureStack(const void* caller, std::uint32_t frames, Stack& stack);

}  // namespace forkserver::guard
