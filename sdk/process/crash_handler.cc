#include "sdk/process/crash_handler.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <unwind.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>

#include "sdk/process/crash_modules.h"

#if defined(__SANITIZE_ADDRESS__)
#define FORKSERVER_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FORKSERVER_SANITIZED 1
#endif
#endif

namespace forkserver {
namespace {

constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGILL,  SIGFPE,
                            SIGABRT, SIGSYS, SIGTRAP, SIGTERM};
constexpr std::size_t kSignalCount = sizeof(kSignals) / sizeof(kSignals[0]);
constexpr std::size_t kMaxFrames = 32;
constexpr std::size_t kMaxStderr = 1024;
// As much as unwinding needs, and the registers that a handler is given.
constexpr std::size_t kStackBytes = std::size_t{64} << 10;

const CrashSlot* volatile slot_in_use = nullptr;
struct sigaction actions_before[kSignalCount];
[[maybe_unused]] bool installed = false;  // not with sanitizers
// The thread that crashes first writes; any other that crashes meanwhile ends
// the process: waiting for the first could be for ever.
std::atomic_flag writing = ATOMIC_FLAG_INIT;

// The text that is being written. What is complete so far is always a text.
class Writer {
 public:
  Writer(char* text, std::size_t size) : text_(text), size_(size) {
    text_[0] = '\0';
  }

  // A piece that does not fit is left out, and so is all that follows.
  void Bytes(const char* bytes, std::size_t count) {
    if (full_ || count >= size_ - used_) {
      full_ = true;
      return;
    }
    // The end first: it is zero-terminated at any time.
    text_[used_ + count] = '\0';
    std::memcpy(text_ + used_, bytes, count);
    used_ += count;
  }
  void Text(const char* text) { Bytes(text, std::strlen(text)); }
  void Decimal(std::int64_t value) {
    char digits[24];
    std::size_t at = sizeof(digits);
    const bool negative = value < 0;
    auto rest = static_cast<std::uint64_t>(value);
    if (negative) rest = 0 - rest;
    do {
      digits[--at] = static_cast<char>('0' + rest % 10);
      rest /= 10;
    } while (rest != 0);
    if (negative) digits[--at] = '-';
    Bytes(digits + at, sizeof(digits) - at);
  }
  void Hex(std::uintptr_t value) {
    char digits[2 + 2 * sizeof(value)];
    std::size_t at = sizeof(digits);
    do {
      digits[--at] = "0123456789abcdef"[value & 15];
      value >>= 4;
    } while (value != 0);
    digits[--at] = 'x';
    digits[--at] = '0';
    Bytes(digits + at, sizeof(digits) - at);
  }
  std::size_t room() const { return full_ ? 0 : size_ - used_ - 1; }

 private:
  char* const text_;
  const std::size_t size_;
  std::size_t used_ = 0;
  bool full_ = false;
};

struct Trace {
  CrashPlace places[kMaxFrames];
  std::size_t count = 0;
  // Where the signal struck: what is before is this handler.
  std::uintptr_t crashed_at = 0;
  bool begun = false;
};

_Unwind_Reason_Code NoteFrame(_Unwind_Context* context, void* argument) {
  auto& trace = *static_cast<Trace*>(argument);
  int before_instruction = 0;
  const std::uintptr_t address =
      _Unwind_GetIPInfo(context, &before_instruction);
  if (address == 0) return _URC_END_OF_STACK;
  if (trace.crashed_at == 0 || address == trace.crashed_at) trace.begun = true;
  if (!trace.begun) return _URC_NO_REASON;
  // A return address is behind the call, which may be the end of a function.
  trace.places[trace.count++].address =
      before_instruction != 0 ? address : address - 1;
  return trace.count == kMaxFrames ? _URC_END_OF_STACK : _URC_NO_REASON;
}

// True for the signals and codes whose siginfo holds an address.
bool HasAddress(int signal, const siginfo_t* info) {
#ifdef SI_KERNEL
  // A general protection fault: the processor does not say which address.
  if (info->si_code == SI_KERNEL) return false;
#endif
  return info->si_code > 0 &&
         (signal == SIGSEGV || signal == SIGBUS || signal == SIGILL ||
          signal == SIGFPE || signal == SIGTRAP);
}

void WritePlace(Writer& writer, const char* word, const CrashPlace& place) {
  if (place.module == nullptr) {
    writer.Text(word);
    writer.Text(" - ");
    writer.Hex(place.address);
  } else {
    writer.Text(word);
    writer.Text(" ");
    writer.Text(place.module);
    writer.Text(" ");
    writer.Hex(place.offset);
  }
  writer.Text("\n");
}

void WriteStandardError(Writer& writer) {
  struct stat info = {};
  if (::fstat(2, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size == 0) {
    return;
  }
  const int fd = ReopenStandardError();
  if (fd < 0) return;
  static char tail[kMaxStderr];
  const auto wanted = static_cast<std::size_t>(info.st_size) < sizeof(tail)
                          ? static_cast<std::size_t>(info.st_size)
                          : sizeof(tail);
  const ssize_t got =
      ::pread(fd, tail, wanted, info.st_size - static_cast<off_t>(wanted));
  ::close(fd);
  if (got <= 0) return;
  const auto count = static_cast<std::size_t>(got);
  constexpr char kHeading[] = "stderr\n";
  if (writer.room() < sizeof(kHeading) + count) return;
  writer.Text(kHeading);
  writer.Bytes(tail, count);
}

void WriteReport(char* text, int signal, const siginfo_t* info,
                 const void* context) {
  Writer writer(text, kCrashTextBytes);
  writer.Text("signal ");
  writer.Decimal(signal);
  writer.Text(" ");
  writer.Decimal(info->si_code);
  writer.Text(" ");
  const bool has_address = HasAddress(signal, info);
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  if (has_address) {
    writer.Hex(address);
  } else {
    writer.Text("-");
  }
  writer.Text("\nthread ");
  char name[64];
  writer.Decimal(CrashedThread(name, sizeof(name)));
  writer.Text(" ");
  for (char* letter = name; *letter != '\0'; ++letter) {
    if (*letter == '\n') *letter = ' ';
  }
  writer.Text(name);
  writer.Text("\n");

  // The last place is the address.
  static Trace trace;
  static char paths[4096];
  std::uintptr_t caller = 0;
  trace.crashed_at = ProgramCounter(context, &caller);
  if (caller != 0) {
    // Nothing can be unwound from an address that is no code.
    trace.places[trace.count++].address = trace.crashed_at;
    trace.places[trace.count++].address = caller - 1;
  } else {
    _Unwind_Backtrace(NoteFrame, &trace);
    if (trace.count == 0 && trace.crashed_at != 0) {
      trace.places[trace.count++].address = trace.crashed_at;
    }
  }
  FindModules(trace.places, trace.count, paths, sizeof(paths));
  if (has_address) {
    CrashPlace at;
    at.address = address;
    static char at_path[1024];
    FindModules(&at, 1, at_path, sizeof(at_path));
    if (at.module != nullptr) WritePlace(writer, "at", at);
  }
  for (std::size_t i = 0; i < trace.count; ++i) {
    if (writer.room() < kMaxStderr + 256) break;
    WritePlace(writer, "frame", trace.places[i]);
  }
  WriteStandardError(writer);
}

void OnCrash(int signal, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  const CrashSlot* const slot = slot_in_use;
  if (slot != nullptr && slot->text != nullptr && slot->parent == ::getppid() &&
      !writing.test_and_set()) {
    WriteReport(slot->text, signal, info, context);
  }
  for (std::size_t i = 0; i < kSignalCount; ++i) {
    if (kSignals[i] == signal) {
      ::sigaction(signal, &actions_before[i], nullptr);
    }
  }
  // It is blocked until the handler returns, and strikes where it struck.
  RaiseAgain(signal, info);
  errno = saved_errno;
}

bool IsDefault(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == SIG_DFL;
}

// A stack that overflowed is none to run on. Somebody's own is left alone.
void ProvideStack() {
  stack_t stack = {};
  if (::sigaltstack(nullptr, &stack) != 0 ||
      (stack.ss_flags & SS_DISABLE) == 0) {
    return;
  }
  void* const memory = ::mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return;
  stack = {};
  stack.ss_sp = memory;
  stack.ss_size = kStackBytes;
  ::sigaltstack(&stack, nullptr);
}

_Unwind_Reason_Code Ignore(_Unwind_Context*, void*) { return _URC_NO_REASON; }

}  // namespace

void InstallCrashHandler(const CrashSlot* slot, OtherHandlers others) noexcept {
#ifdef FORKSERVER_SANITIZED
  static_cast<void>(slot);
  static_cast<void>(others);
  static_cast<void>(OnCrash);
  static_cast<void>(IsDefault);
  static_cast<void>(ProvideStack);
  static_cast<void>(Ignore);
#else
  slot_in_use = slot;
  if (installed || slot == nullptr) return;
  installed = true;
  // What the unwinder does once it does now.
  _Unwind_Backtrace(Ignore, nullptr);
  ProvideStack();
  for (std::size_t i = 0; i < kSignalCount; ++i) {
    if (::sigaction(kSignals[i], nullptr, &actions_before[i]) != 0) continue;
    const bool ignored = (actions_before[i].sa_flags & SA_SIGINFO) == 0 &&
                         actions_before[i].sa_handler == SIG_IGN;
    // A handler of SIGTERM may let the process live on.
    if (!IsDefault(actions_before[i]) &&
        (others == OtherHandlers::kKeep || ignored || kSignals[i] == SIGTERM)) {
      continue;
    }
    struct sigaction action = {};
    action.sa_sigaction = OnCrash;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    ::sigaction(kSignals[i], &action, nullptr);
  }
#endif
}

char* MapCrashTexts(std::size_t count) noexcept {
  int flags = MAP_SHARED | MAP_ANONYMOUS;
#ifdef MAP_NORESERVE
  flags |= MAP_NORESERVE;
#endif
  void* const memory = ::mmap(nullptr, count * kCrashTextBytes,
                              PROT_READ | PROT_WRITE, flags, -1, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<char*>(memory);
}

}  // namespace forkserver
