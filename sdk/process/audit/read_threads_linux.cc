#include <sys/syscall.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <string_view>

#include "sdk/process/audit/known_cases.h"
#include "sdk/process/audit/read_threads.h"
#include "sdk/process/audit/system_call.h"

namespace forkserver::audit {
namespace {

constexpr std::size_t kWord = sizeof(std::uint64_t);
constexpr std::size_t kMaxStackBytes = 1u << 20;
// Where libc keeps what it knows of a thread, and how much of that is ours to
// look at: from its header (registers, ids) to the function and its argument.
constexpr std::size_t kThreadHeaderBytes = 0x200;
constexpr std::size_t kThreadBytes = 0x900;
// Idle threads of OpenBLAS spin for some 30 ms before they sleep, those of
// libomp for 200. The patience is for all threads of a process.
constexpr int kPatience = 400;
constexpr long kPatienceStepNs = 1'000'000;

// What is on every thread's stack, and starts none for itself.
const std::vector<std::string> kRuntime = {
    "libc.so*",   "libc-2*",       "libpthread*", "ld-linux*", "ld-musl*",
    "[[]vdso[]]", "libstdc++.so*", "libgcc_s*",   "libc++*"};

const std::vector<std::string> kGuard = {"libforkguard*"};

bool IsRuntime(const Mapping& mapping) {
  return Matches(kRuntime, FileNameOf(mapping.path));
}

class Reader {
 public:
  Reader(const ProcessMemory& memory, ProcessFacts& facts)
      : memory_(memory),
        facts_(facts),
        folder_("/proc/" + std::to_string(facts.pid) + "/task/") {}

  void Read() {
    const std::vector<std::int64_t> ids =
        ListThreadIds(static_cast<pid_t>(facts_.pid));
    if (ids.empty()) {
      facts_.unreadable.push_back("its threads: " + folder_ +
                                  " cannot be listed");
    }
    for (const std::int64_t id : ids) {
      if (id == facts_.pid) {
        WaitsForLock(id);  // the one that will fork may be the one that hangs
        continue;
      }
      auto name = ReadProcFile(folder_ + std::to_string(id) + "/comm");
      if (!name) continue;  // it ended meanwhile
      if (!name->empty() && name->back() == '\n') name->pop_back();
      ThreadFact thread;
      thread.id = id;
      thread.name = std::move(*name);
      const SystemCall call = WhereItWaits(id);
      if (!call.running) thread.doing = Describe(call.number);
      NoteLock(id, call);
      FindStarter(call, thread);
      facts_.threads.push_back(std::move(thread));
    }
  }

 private:
  SystemCall WhereItWaits(std::int64_t id) {
    for (;;) {
      auto text = ReadProcFile(folder_ + std::to_string(id) + "/syscall");
      if (!text) return {};
      const SystemCall call = ParseSystemCall(*text);
      if (!call.running || patience_ == 0) return call;
      --patience_;
      const timespec step = {0, kPatienceStepNs};
      ::nanosleep(&step, nullptr);
    }
  }

  void FindStarter(const SystemCall& call, ThreadFact& thread) {
    const Mapping* const stack = memory_.At(call.stack_pointer);
    if (stack == nullptr) return;
    const std::uint64_t begin = call.stack_pointer & ~(kWord - 1);
    const std::vector<std::uint64_t> words = memory_.ReadWords(
        begin,
        std::min<std::uint64_t>(stack->end - begin, kMaxStackBytes) / kWord);
    const std::size_t self = FindThreadItself(begin, words);
    if (self < words.size()) {
      const std::size_t last =
          std::min(words.size(), self + kThreadBytes / kWord);
      for (std::size_t i = self + kThreadHeaderBytes / kWord; i < last; ++i) {
        const Mapping* const code = CodeAt(words[i]);
        if (code == nullptr) continue;
        const std::uint64_t argument = i + 1 < words.size() ? words[i + 1] : 0;
        SetStarter(*code, words[i], argument, thread);
        return;
      }
    }
    // Not laid out as expected: the deepest of its frames.
    for (std::size_t i = std::min(self, words.size()); i-- > 0;) {
      const Mapping* const code = CodeAt(words[i]);
      if (code == nullptr || IsRuntime(*code)) continue;
      thread.library = code->path;
      thread.offset = words[i] - memory_.LoadAddressOf(*code);
      return;
    }
  }

  // The word that holds the thread's own control block, which begins with its
  // own address, twice (x86-64: header.tcb and header.self).
  static std::size_t FindThreadItself(std::uint64_t begin,
                                      const std::vector<std::uint64_t>& words) {
    for (std::size_t i = 0; i + 2 < words.size(); ++i) {
      const std::uint64_t address = begin + i * kWord;
      if (words[i] == address && words[i + 2] == address) return i;
    }
    return words.size();
  }

  const Mapping* CodeAt(std::uint64_t address) const {
    const Mapping* const mapping = memory_.At(address);
    return mapping != nullptr && mapping->executable && !mapping->path.empty()
               ? mapping
               : nullptr;
  }

  void SetStarter(const Mapping& code, std::uint64_t function,
                  std::uint64_t argument, ThreadFact& thread) const {
    // A guarded thread begins in libforkguard, with a note of what it is to
    // run: function and argument (sdk/guard/thread_table.cc).
    const Mapping* const noted = Matches(kGuard, FileNameOf(code.path))
                                     ? CodeAt(memory_.ReadWord(argument))
                                     : nullptr;
    if (noted != nullptr && !Matches(kGuard, FileNameOf(noted->path))) {
      SetStarter(*noted, memory_.ReadWord(argument),
                 memory_.ReadWord(argument + kWord), thread);
      return;
    }
    thread.library = code.path;
    thread.offset = function - memory_.LoadAddressOf(code);
    if (!IsRuntime(code)) return;
    // std::thread begins in libstdc++, with an object whose table of virtual
    // functions lies in the library that made the thread.
    const Mapping* const table = memory_.At(memory_.ReadWord(argument));
    if (table == nullptr || table->path.empty() || table->path[0] != '/' ||
        IsRuntime(*table)) {
      return;
    }
    thread.library = table->path;
    thread.offset = 0;
  }

  void WaitsForLock(std::int64_t id) {
    auto text = ReadProcFile(folder_ + std::to_string(id) + "/syscall");
    if (text) NoteLock(id, ParseSystemCall(*text));
  }

  // A pthread_mutex_t begins with its lock word, a count and its holder's id.
  void NoteLock(std::int64_t waiter, const SystemCall& call) {
    if (call.number != SYS_futex) return;
    const std::vector<std::uint64_t> words =
        memory_.ReadWords(call.first_argument, 2);
    if (words.size() < 2) return;
    const auto lock = static_cast<std::uint32_t>(words[0]);
    const auto holder = static_cast<std::int64_t>(words[1] & 0xffffffff);
    if ((lock != 1 && lock != 2) || holder == 0 || holder == waiter) return;
    if (!ReadProcFile(folder_ + std::to_string(holder) + "/comm")) return;
    facts_.locks.push_back({PlaceOf(call.first_argument), holder, waiter});
  }

  std::string PlaceOf(std::uint64_t address) const {
    const Mapping* const mapping = memory_.At(address);
    if (mapping == nullptr || mapping->path.empty()) return "its memory";
    if (mapping->path == "[heap]") return "its heap";
    return mapping->path;
  }

  const ProcessMemory& memory_;
  ProcessFacts& facts_;
  const std::string folder_;
  int patience_ = kPatience;
};

}  // namespace

void ReadThreads(const ProcessMemory& memory, ProcessFacts& facts) {
  Reader(memory, facts).Read();
}

}  // namespace forkserver::audit
