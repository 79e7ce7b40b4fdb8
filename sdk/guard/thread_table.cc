#include "sdk/guard/thread_table.h"

#include <sys/mman.h>
#include <unwind.h>

#include <atomic>
#include <cstddef>

#include "sdk/guard/snapshot.h"

namespace forkserver::guard {
namespace {

struct Note {
  void* (*function)(void*) = nullptr;
  void* argument = nullptr;
  std::atomic<std::int64_t> id = 0;  // 0: free, or not running yet
  std::uint32_t next = 0;            // in the list of the free ones
  Stack stack;
};

// Address space only: pages are there once they are used.
constexpr std::uint32_t kMaxNotes = 32768;
constexpr std::uint32_t kNone = kMaxNotes;

Note* notes = nullptr;
std::atomic<std::uint32_t> used = 0;
// The first free one, and a count of changes that keeps two threads from
// taking the same (ABA).
std::atomic<std::uint64_t> free_list = kNone;
std::atomic<std::uint64_t> ever_started = 0;
pthread_key_t key;
bool ready = false;

Note* TakeNote() {
  std::uint64_t head = free_list.load(std::memory_order_acquire);
  while (static_cast<std::uint32_t>(head) != kNone) {
    Note& note = notes[static_cast<std::uint32_t>(head)];
    const std::uint64_t next = ((head >> 32) + 1) << 32 |
                               __atomic_load_n(&note.next, __ATOMIC_RELAXED);
    if (free_list.compare_exchange_weak(head, next)) return &note;
  }
  const std::uint32_t index = used.fetch_add(1);
  if (index < kMaxNotes) return &notes[index];
  used.store(kMaxNotes);
  return nullptr;
}

void GiveBack(void* note_pointer) {
  Note& note = *static_cast<Note*>(note_pointer);
  note.id.store(0, std::memory_order_release);
  const auto index = static_cast<std::uint32_t>(&note - notes);
  std::uint64_t head = free_list.load(std::memory_order_acquire);
  std::uint64_t next;
  do {
    __atomic_store_n(&note.next, static_cast<std::uint32_t>(head),
                     __ATOMIC_RELAXED);
    next = ((head >> 32) + 1) << 32 | index;
  } while (!free_list.compare_exchange_weak(head, next));
}

struct Walk {
  std::uint64_t caller;
  std::uint32_t frames;
  bool found;
  Stack* stack;
};

_Unwind_Reason_Code TakeFrame(_Unwind_Context* context, void* walk_pointer) {
  Walk& walk = *static_cast<Walk*>(walk_pointer);
  const std::uint64_t address = _Unwind_GetIP(context);
  if (address == 0) return _URC_END_OF_STACK;
  walk.found = walk.found || address == walk.caller;
  if (!walk.found) return _URC_NO_REASON;
  walk.stack->addresses[walk.stack->count++] = address;
  return walk.stack->count == walk.frames ? _URC_END_OF_STACK : _URC_NO_REASON;
}

}  // namespace

void StartThreadTable() {
  void* const memory =
      ::mmap(nullptr, kMaxNotes * sizeof(Note), PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return;
  notes = static_cast<Note*>(memory);
  ready = ::pthread_key_create(&key, &GiveBack) == 0;
}

void* NoteThread(void* (*function)(void*), void* argument, const Stack& stack) {
  ever_started.fetch_add(1, std::memory_order_relaxed);
  if (!ready) return nullptr;
  Note* const note = TakeNote();
  if (note == nullptr) return nullptr;
  note->function = function;
  note->argument = argument;
  note->stack = stack;
  return note;
}

void* RunNotedThread(void* note_pointer) {
  Note& note = *static_cast<Note*>(note_pointer);
  note.id.store(ThisThread(), std::memory_order_release);
  // Told of every end of a thread, pthread_exit() and cancellation too.
  ::pthread_setspecific(key, &note);
  return note.function(note.argument);
}

void ForgetThread(void* note) { GiveBack(note); }

void CopyThreads(ForkRecord& record) {
  if (!ready) return;
  const std::uint32_t count = used.load() < kMaxNotes ? used.load() : kMaxNotes;
  for (std::uint32_t i = 0; i < count; ++i) {
    const Note& note = notes[i];
    const std::int64_t id = note.id.load(std::memory_order_acquire);
    if (id == 0) continue;
    if (record.started_count == kMaxThreadStacks) return;
    StartedThread& thread = record.started[record.started_count];
    thread.id = id;
    thread.function = reinterpret_cast<std::uint64_t>(note.function);
    thread.stack = note.stack;
    // Unless it ended meanwhile and another took its place.
    if (note.id.load(std::memory_order_acquire) == id) ++record.started_count;
  }
}

bool WasEverThreaded() { return ThreadsEverStarted() != 0; }
std::uint64_t ThreadsEverStarted() {
  return ever_started.load(std::memory_order_relaxed);
}

void ForgetThreadsAfterFork() {
  if (!ready) return;
  ::pthread_setspecific(key, nullptr);
  for (std::uint32_t i = 0; i < used.load() && i < kMaxNotes; ++i) {
    notes[i].id.store(0, std::memory_order_relaxed);
  }
  used.store(0);
  free_list.store(kNone);
}

void CaptureStack(const void* caller, std::uint32_t frames, Stack& stack) {
  Walk walk = {reinterpret_cast<std::uint64_t>(caller), frames, false, &stack};
  _Unwind_Backtrace(&TakeFrame, &walk);
  if (walk.found) return;
  stack.addresses[0] = walk.caller;
  stack.count = 1;
}

}  // namespace forkserver::guard
