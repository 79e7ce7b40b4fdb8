#include "sdk/guard/fork_watch.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "sdk/guard/python_caller.h"
#include "sdk/guard/snapshot.h"
#include "sdk/guard/thread_table.h"

// The name leads to the first copy that is loaded, this one or another.
extern "C" [[gnu::visibility("default")]] char forkserver_guard_instance;
char forkserver_guard_instance = 0;

namespace forkserver::guard {
namespace {

constexpr std::size_t kMaxWatches = 256;
constexpr std::size_t kMaxStacks = 1024;
constexpr std::uint64_t kNoStack = 0;
// A longer window does not keep a program from its end.
constexpr long kLongestDelayMs = 1'000;

enum Use { kFree, kClaimed, kWatched };

struct Slot {
  std::atomic<int> use = kFree;
  std::atomic<Watch*> watch = nullptr;
};

std::atomic<bool> set_up = false;
Mode mode = Mode::kOff;
WatcherSettings settings;
KnownStack* known_stacks = nullptr;
Slot slots[kMaxWatches];
std::atomic<std::uint64_t> handlers[kMaxHandlers];
std::atomic<std::uint32_t> handler_count = 0;

// In a forked child: the watch on itself.
struct OwnWatch {
  Watch* watch = nullptr;
  std::uint32_t serial = 0;
  pid_t pid = 0;
};
OwnWatch own;

void* MapShared(std::size_t size) {
  void* const memory =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

// Never 0 (FNV-1a).
std::uint64_t HashOf(const Stack& stack) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (std::uint32_t i = 0; i < stack.count; ++i) {
    hash = (hash ^ stack.addresses[i]) * 0x100000001b3;
  }
  return hash | 1;
}

// nullptr: more different stacks than there is room for.
KnownStack* FindStack(const Stack& stack) {
  const std::uint64_t hash = HashOf(stack);
  for (std::size_t i = 0; i < kMaxStacks; ++i) {
    KnownStack& entry = known_stacks[(hash + i) % kMaxStacks];
    std::uint64_t there = kNoStack;
    if (entry.hash.compare_exchange_strong(there, hash) || there == hash) {
      return &entry;
    }
  }
  return nullptr;
}

// What an audit that found nothing is good for: until it looks otherwise.
std::uint64_t LooksOf(const ForkRecord& record) {
  std::uint64_t looks = ThreadsEverStarted();
  for (std::uint32_t i = 0;
       i < record.thread_count && i < std::uint32_t{kMaxThreads}; ++i) {
    looks = looks * 31 + static_cast<std::uint64_t>(record.threads[i]);
  }
  for (std::uint32_t i = 0;
       i < record.descriptor_count && i < std::uint32_t{kMaxDescriptors}; ++i) {
    looks = looks * 31 + static_cast<std::uint64_t>(record.descriptors[i]);
  }
  return looks | 4;  // none of kNew, kBeingAudited, kReported
}

// A slot is free, or that of a watch whose watcher has ended is taken over.
bool Claim(Slot& slot) {
  int use = kFree;
  if (slot.use.compare_exchange_strong(use, kClaimed)) return true;
  if (use != kWatched || !IsOver(*slot.watch.load()) ||
      !slot.use.compare_exchange_strong(use, kClaimed)) {
    return false;
  }
  // Another thread may have taken it over between the two lines above, and
  // have a watcher of its own by now.
  if (IsOver(*slot.watch.load())) return true;
  slot.use.store(kWatched);
  return false;
}

Watch* TakeWatch() {
  for (Slot& slot : slots) {
    if (!Claim(slot)) continue;
    Watch* watch = slot.watch.load();
    if (watch == nullptr) {
      void* const memory = MapShared(sizeof(Watch));
      if (memory == nullptr) {
        slot.use.store(kFree);
        return nullptr;
      }
      watch = static_cast<Watch*>(memory);
      slot.watch.store(watch);
    }
    watch->slot = static_cast<int>(&slot - slots);
    watch->watcher.store(0);
    watch->own_child = 0;
    watch->serial.fetch_add(1);
    watch->state.store(kForked);
    return watch;
  }
  return nullptr;
}

// It is claimed until nobody but its watcher uses it any more: a watcher may
// have ended before the thread that made it goes on.
void LeaveToWatcher(Watch& watch) { slots[watch.slot].use.store(kWatched); }

void FillRecord(const void* function, const Stack& stack, ForkRecord& record) {
  record.size = sizeof(ForkRecord);
  record.mode = mode;
  record.pid = ::getpid();
  record.thread = ThisThread();
  record.child = 0;
  record.function = reinterpret_cast<std::uint64_t>(function);
  record.stack = stack;
  record.started_count = 0;
  ListThreads(record);
  ListDescriptors(record);
  CopyThreads(record);
  record.handler_count = 0;
  for (std::uint32_t i = 0; i < handler_count.load() && i < kMaxHandlers; ++i) {
    record.handlers[record.handler_count++] = handlers[i].load();
  }
}

void CopyVariable(const char* name, char (&target)[4096]) {
  const char* const value = std::getenv(name);
  if (value != nullptr && std::strlen(value) < sizeof(target)) {
    std::strcpy(target, value);
  }
}

// A report that comes after the program's end is lost on whoever reads its
// standard error. Children that are gone need not be waited for.
void AwaitReports() {
  if (settings.window_ms > kLongestDelayMs) return;
  for (Slot& slot : slots) {
    Watch* const watch = slot.watch.load();
    if (slot.use.load() != kWatched || IsOver(*watch)) continue;
    if (watch->state.load() == kForked && watch->record.child > 0 &&
        ::kill(static_cast<pid_t>(watch->record.child), 0) != 0) {
      TellWatcher(*watch, kParentEnds);
    }
    AwaitWatcher(*watch, settings);
  }
}

[[gnu::destructor]] void End() {
  if (mode == Mode::kWarn) AwaitReports();
}

void SetUp() {
  // Of two guards the one that the program calls.
  Dl_info first = {}, self = {};
  if (::dladdr(::dlsym(RTLD_DEFAULT, "forkserver_guard_instance"), &first) ==
          0 ||
      ::dladdr(reinterpret_cast<const void*>(&known_stacks), &self) == 0 ||
      first.dli_fbase != self.dli_fbase) {
    return;
  }
  const char* const text = std::getenv(kModeVariable);
  if (text == nullptr) return;
  if (std::strcmp(text, "warn") == 0) mode = Mode::kWarn;
  if (std::strcmp(text, "deny") == 0) mode = Mode::kDeny;
  if (std::strcmp(text, "abort") == 0) mode = Mode::kAbort;
  if (const char* const window = std::getenv(kWindowVariable)) {
    settings.window_ms = std::atol(window);
  }
  CopyVariable(kReportVariable, settings.report);
  CopyVariable(kProgramVariable, settings.program);
  if (mode == Mode::kOff || settings.program[0] == '\0') {
    mode = Mode::kOff;
    return;
  }
  known_stacks =
      static_cast<KnownStack*>(MapShared(kMaxStacks * sizeof(KnownStack)));
  if (known_stacks == nullptr) mode = Mode::kOff;
  StartThreadTable();
}

}  // namespace

bool IsOn() {
  if (!set_up.exchange(true)) SetUp();
  return mode != Mode::kOff;
}

ForkAttempt BeforeFork(const void* caller, bool may_not_return) {
  ForkAttempt attempt;
  if (!IsOn()) return attempt;
  const int saved = errno;
  const bool suspicious =
      WasEverThreaded() || CountThreads() > 1 || HasUncommonDescriptor();
  errno = saved;
  if (!suspicious) return attempt;
  Stack stack;
  CaptureStack(caller, kMaxFrames, stack);
  KnownStack* const known = FindStack(stack);
  const bool at_once = mode == Mode::kDeny || mode == Mode::kAbort;
  if (at_once && IsPythonSubprocess(caller)) return attempt;
  if (known == nullptr || (!at_once && known->state.load() == kReported)) {
    return attempt;
  }
  Watch* const watch = TakeWatch();
  if (watch == nullptr) return attempt;
  FillRecord(reinterpret_cast<const void*>(&IsOn), stack, watch->record);
  watch->record.marker = reinterpret_cast<std::uint64_t>(watch);
  watch->known = known;
  watch->looks = LooksOf(watch->record);
  errno = saved;
  if (at_once) {
    if (known->state.load() != watch->looks) {
      const int code =
          ReportNow(*watch, settings, known->state.load() == kReported);
      known->state.store(code == 0 ? watch->looks : kReported);
      attempt.refused = code == 1;
    }
    LeaveToWatcher(*watch);
    if (attempt.refused && mode == Mode::kAbort) std::abort();
    return attempt;
  }
  if (known->state.load() == watch->looks) {
    LeaveToWatcher(*watch);
    return attempt;
  }
  if (may_not_return) StartWatcher(*watch, settings);
  attempt.watch = watch;
  return attempt;
}

void AfterForkInParent(const ForkAttempt& attempt, pid_t child) {
  if (attempt.watch == nullptr) return;
  Watch& watch = *attempt.watch;
  watch.record.child = child;
  if (child >= 0 && watch.state.load() != kExecuted) {
    StartWatcher(watch, settings);
  }
  LeaveToWatcher(watch);
}

void AfterForkInChild(const ForkAttempt& attempt) {
  if (!IsOn()) return;
  own = {};
  if (attempt.watch != nullptr) {
    own = {attempt.watch, attempt.watch->serial.load(), ::getpid()};
    attempt.watch->record.child = own.pid;
  }
  for (Slot& slot : slots) {
    Watch* const watch = slot.watch.load();
    slot.watch.store(nullptr);
    slot.use.store(kFree);
    if (watch != nullptr && watch != own.watch) {
      ::munmap(watch, sizeof(Watch));
    }
  }
  ForgetThreadsAfterFork();
}

void BeforeExec() {
  // Not of a process that shares this one's memory (vfork), nor after the
  // watch has passed to another fork.
  if (own.watch == nullptr || own.pid != ::getpid() ||
      own.watch->serial.load() != own.serial) {
    return;
  }
  TellWatcher(*own.watch, kExecuted);
}

void NoteForkHandler(const void* function) {
  if (function == nullptr) return;
  const std::uint32_t at = handler_count.fetch_add(1);
  if (at < kMaxHandlers) {
    handlers[at].store(reinterpret_cast<std::uint64_t>(function));
  }
}

}  // namespace forkserver::guard
