#include "tools/forkserver/fork_report.h"

#include <arpa/inet.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "sdk/guard/fork_record.h"
#include "sdk/process/audit/audit.h"
#include "sdk/process/audit/known_cases.h"
#include "sdk/process/audit/process_memory.h"
#include "sdk/process/audit/read_facts.h"
#include "tools/forkserver/audit_report.h"
#include "tools/forkserver/process_symbols.h"

namespace forkserver::cli {
namespace {

using audit::ProcessFacts;
using audit::ProcessMemory;
using audit::ThreadFact;
using guard::ForkRecord;

// What lies between a thread's function and who made it, and starts none for
// itself (std::thread).
const std::vector<std::string> kRuntime = {"libc.so*", "libstdc++.so*",
                                           "libc++*", "ld-linux*"};
constexpr char kGuard[] = "libforkguard";

bool ReadWhole(int fd, void* data, std::size_t size) {
  char* const bytes = static_cast<char*>(data);
  for (std::size_t done = 0; done < size;) {
    const ssize_t got = ::read(fd, bytes + done, size - done);
    if (got <= 0) return false;
    done += static_cast<std::size_t>(got);
  }
  return true;
}

class Maker {
 public:
  Maker(const ForkRecord& record, const ProcessMemory& memory)
      : record_(record), memory_(memory), symbols_(memory) {}

  ForkReport Make() {
    ForkReport report;
    report.pid = record_.pid;
    report.child = record_.child;
    if (record_.child != 0 && HasExecuted(record_.child)) return report;
    ProcessFacts facts = LookAtProcess();
    KeepThoseOfTheFork(facts);
    LeaveOutWhatTheChildClosed(facts);
    RestoreConnections(facts);
    NameStarters(facts);
    report.program = facts.program;
    report.audit = audit::Judge(facts, {});
    report.verdict = report.audit.verdict;
    report.stack = NamesOf(record_.stack);
    for (const ThreadFact& thread : facts.threads) AddOrigin(thread, report);
    for (std::uint32_t i = 0; i < record_.handler_count; ++i) {
      report.fork_handlers.push_back(
          symbols_.NameFunction(record_.handlers[i]));
    }
    report.instead = Instead();
    return report;
  }

 private:
  // The record's own memory is mapped in all that fork() made, and in nothing
  // that exec() made.
  bool HasExecuted(std::int64_t pid) const {
    auto memory = ProcessMemory::Open(static_cast<pid_t>(pid));
    if (!memory || memory->mappings().empty()) return false;  // it has ended
    const audit::Mapping* const mapping = memory->At(record_.marker);
    return mapping == nullptr || mapping->path.rfind("/dev/zero", 0) != 0;
  }

  ProcessFacts LookAtProcess() const {
    if (!HasExecuted(record_.pid)) {
      auto facts = audit::ReadFacts(static_cast<pid_t>(record_.pid));
      if (facts) return *std::move(facts);
    }
    ProcessFacts facts;
    facts.pid = record_.pid;
    facts.unreadable.push_back(
        "its descriptors and libraries: the process that forked has ended");
    return facts;
  }

  bool WasThere(std::int64_t thread) const {
    const auto* const end =
        record_.threads +
        std::min<std::uint32_t>(record_.thread_count, guard::kMaxThreads);
    return record_.thread_count > guard::kMaxThreads ||
           std::find(record_.threads, end, thread) != end;
  }

  // Neither what came after the fork nor the thread that forked, which the
  // child has; but what has ended since.
  void KeepThoseOfTheFork(ProcessFacts& facts) const {
    auto& threads = facts.threads;
    threads.erase(std::remove_if(threads.begin(), threads.end(),
                                 [this](const ThreadFact& thread) {
                                   return !WasThere(thread.id) ||
                                          thread.id == record_.thread;
                                 }),
                  threads.end());
    for (std::uint32_t i = 0;
         i < std::min<std::uint32_t>(record_.thread_count, guard::kMaxThreads);
         ++i) {
      const std::int64_t id = record_.threads[i];
      const bool listed =
          std::any_of(threads.begin(), threads.end(),
                      [id](const ThreadFact& each) { return each.id == id; });
      if (listed || id == record_.thread) continue;
      ThreadFact thread;
      thread.id = id;
      thread.name = i < guard::kMaxNames ? record_.names[i] : "";
      thread.doing =
          id == record_.pid ? "is the main thread" : "has ended since";
      threads.push_back(std::move(thread));
    }
    auto& descriptors = facts.descriptors;
    if (record_.descriptor_count > guard::kMaxDescriptors) return;
    const auto* const end = record_.descriptors + record_.descriptor_count;
    descriptors.erase(std::remove_if(descriptors.begin(), descriptors.end(),
                                     [&](const audit::DescriptorFact& each) {
                                       return std::find(record_.descriptors,
                                                        end, each.fd) == end;
                                     }),
                      descriptors.end());
  }

  // What the child did may have ended a connection since.
  void RestoreConnections(ProcessFacts& facts) const {
    const std::size_t count =
        std::min<std::size_t>(record_.descriptor_count, guard::kMaxDescriptors);
    for (audit::DescriptorFact& each : facts.descriptors) {
      const auto* const at =
          std::find(record_.descriptors, record_.descriptors + count, each.fd);
      if (at == record_.descriptors + count) continue;
      const sockaddr_in6& peer = record_.peers[at - record_.descriptors];
      if (peer.sin6_family == 0 ||
          each.kind == audit::DescriptorKind::kConnected) {
        continue;
      }
      each.kind = audit::DescriptorKind::kConnected;
      each.peer = NameOf(peer);
      each.text = "TCP -> " + each.peer + ", which has ended since";
    }
  }

  static std::string NameOf(const sockaddr_in6& peer) {
    char text[INET6_ADDRSTRLEN] = {};
    if (peer.sin6_family == AF_INET6) {
      ::inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof(text));
      return "[" + std::string(text) +
             "]:" + std::to_string(ntohs(peer.sin6_port));
    }
    sockaddr_in old = {};
    std::memcpy(&old, &peer, sizeof(old));
    ::inet_ntop(AF_INET, &old.sin_addr, text, sizeof(text));
    return std::string(text) + ":" + std::to_string(ntohs(old.sin_port));
  }

  // A child that lives and has closed a descriptor does not share it.
  void LeaveOutWhatTheChildClosed(ProcessFacts& facts) const {
    if (record_.child == 0) return;
    auto child = audit::ReadFacts(static_cast<pid_t>(record_.child));
    if (!child) return;
    auto& descriptors = facts.descriptors;
    descriptors.erase(
        std::remove_if(
            descriptors.begin(), descriptors.end(),
            [&](const audit::DescriptorFact& each) {
              return std::none_of(
                  child->descriptors.begin(), child->descriptors.end(),
                  [&](const audit::DescriptorFact& its) {
                    return its.fd == each.fd && its.text == each.text;
                  });
            }),
        descriptors.end());
  }

  const guard::StartedThread* StartOf(std::int64_t id) const {
    for (std::uint32_t i = 0; i < record_.started_count; ++i) {
      if (record_.started[i].id == id) return &record_.started[i];
    }
    return nullptr;
  }

  // What libforkguard saw is better than what a thread's stack says.
  void NameStarters(ProcessFacts& facts) const {
    for (ThreadFact& thread : facts.threads) {
      const guard::StartedThread* const start = StartOf(thread.id);
      if (start == nullptr) continue;
      std::uint64_t address = start->function;
      for (std::uint32_t i = 0;
           i < start->stack.count && IsRuntime(symbols_.FileAt(address)); ++i) {
        address = start->stack.addresses[i];
      }
      const audit::Mapping* const mapping = memory_.At(address);
      if (mapping == nullptr) continue;
      thread.library = mapping->path;
      thread.offset = address - memory_.LoadAddressOf(*mapping);
    }
  }

  static bool IsRuntime(const std::string& path) {
    return audit::Matches(kRuntime, audit::FileNameOf(path));
  }

  std::vector<std::string> NamesOf(const guard::Stack& stack) {
    std::vector<std::string> names;
    for (std::uint32_t i = 0; i < stack.count; ++i) {
      if (audit::FileNameOf(symbols_.FileAt(stack.addresses[i]))
              .rfind(kGuard, 0) == 0) {
        continue;
      }
      names.push_back(symbols_.NameReturn(stack.addresses[i]));
    }
    return names;
  }

  void AddOrigin(const ThreadFact& thread, ForkReport& report) {
    const guard::StartedThread* const start = StartOf(thread.id);
    if (start == nullptr) return;
    report.threads.push_back({thread.id, thread.name,
                              symbols_.NameFunction(start->function),
                              NamesOf(start->stack)});
  }

  std::vector<std::string> Instead() {
    bool python = false;
    for (std::uint32_t i = 0; i < record_.stack.count; ++i) {
      const std::string file =
          audit::FileNameOf(symbols_.FileAt(record_.stack.addresses[i]));
      python = python || audit::Matches({"python*", "libpython*"}, file);
    }
    if (python) {
      return {"subprocess.run(...) for a program; os.posix_spawn()",
              "multiprocessing with the start method \"spawn\", or "
              "forkserver.multiprocessing",
              "client.spawn(...), a PythonZygote, or forkserver.isolated for a "
              "function",
              "forkserver.guard() in the program shows the Python stacks"};
    }
    return {"posix_spawn(), or vfork() followed by exec at once, for a program",
            "fork() before the first thread and connection",
            "`forkserver run -- CMD`, Client::Spawn, or a zygote: a worker of "
            "a clean parent"};
  }

  const ForkRecord& record_;
  const ProcessMemory& memory_;
  ProcessSymbols symbols_;
};

std::string Lines(const char* heading, const std::vector<std::string>& lines) {
  if (lines.empty()) return {};
  std::string text = std::string("\n  ") + heading;
  for (const std::string& line : lines) text += "\n    " + line;
  return text;
}

// Threads that were started alike are told once.
std::string OriginLines(const std::vector<ThreadOrigin>& threads) {
  std::map<std::pair<std::string, std::vector<std::string>>,
           std::vector<const ThreadOrigin*>>
      groups;
  for (const ThreadOrigin& thread : threads) {
    groups[{thread.begins_with, thread.stack}].push_back(&thread);
  }
  std::string text;
  for (const auto& [alike, group] : groups) {
    std::string who = "Thread " + std::to_string(group[0]->id);
    if (!group[0]->name.empty()) who += " '" + group[0]->name + "'";
    who += group.size() == 1
               ? " runs "
               : " and " + std::to_string(group.size() - 1) + " more run ";
    who += alike.first + ", started by:";
    text += Lines(who.c_str(), alike.second);
  }
  return text;
}

std::string ToText(const ForkReport& report, guard::Mode mode) {
  std::string subject = "forkguard: process " + std::to_string(report.pid);
  if (!report.program.empty()) subject += " (" + report.program + ")";
  subject += report.child != 0 ? " forked " + std::to_string(report.child) +
                                     ", which did not exec at once. It"
             : mode == guard::Mode::kWarn ? " forked. It"
                                          : " was about to fork. It";
  std::string text = Report(subject, report.audit);
  text += Lines("The stack that called fork:", report.stack);
  text += OriginLines(report.threads);
  text += Lines("Handlers of fork() (pthread_atfork):", report.fork_handlers);
  text += Lines("What would have been safe:", report.instead);
  return text + "\n";
}

}  // namespace

Result<ForkReport> MakeForkReport(int fd) {
  const auto record = std::make_unique<ForkRecord>();
  if (!ReadWhole(fd, record.get(), sizeof(*record)) ||
      record->size != sizeof(*record)) {
    return MakeError(error_code::kSystem, "no record of a fork to be read",
                     "libforkguard runs this command, not a person");
  }
  auto memory = ProcessMemory::Open(static_cast<pid_t>(record->memory_of));
  if (!memory) return memory.error();
  ForkReport report = Maker(*record, *memory).Make();
  report.text = ToText(report, record->mode);
  return report;
}

}  // namespace forkserver::cli
