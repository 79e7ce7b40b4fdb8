#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <unordered_set>

#include "sdk/process/audit/known_cases.h"
#include "sdk/process/audit/library_answer.h"
#include "sdk/process/audit/process_memory.h"
#include "sdk/process/audit/read_descriptors.h"
#include "sdk/process/audit/read_facts.h"
#include "sdk/process/audit/read_threads.h"

namespace forkserver::audit {
namespace {

constexpr unsigned long kKernelThread = 0x00200000;      // PF_KTHREAD
constexpr std::size_t kStateField = 0, kFlagsField = 6;  // after "pid (name) "

std::vector<std::string> SplitAtNul(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at < text.size();) {
    parts.emplace_back(text.c_str() + at);
    at += parts.back().size() + 1;
  }
  return parts;
}

Error Nothing(const std::string& what, const std::string& hint) {
  return MakeError(error_code::kSystem, what, hint);
}

// Why there is nothing to look at.
Result<void> CheckProcess(pid_t pid, const std::string& folder) {
  const std::string name = "process " + std::to_string(pid);
  auto stat = ReadProcFile(folder + "/stat");
  if (!stat) {
    return Nothing("there is no " + name, "it has ended, or never was");
  }
  // "pid (name) state ..."; the name may hold anything.
  const std::size_t name_end = stat->rfind(')');
  std::vector<std::string> fields;
  std::string rest =
      name_end == std::string::npos ? "" : stat->substr(name_end + 2);
  for (std::size_t at = 0; at < rest.size();) {
    const std::size_t end = std::min(rest.find(' ', at), rest.size());
    fields.push_back(rest.substr(at, end - at));
    at = end + 1;
  }
  if (fields.size() <= kFlagsField) {
    return Nothing(name + " cannot be understood", "");
  }
  if (fields[kStateField] == "Z" || fields[kStateField] == "X") {
    return Nothing(name + " has ended and waits for its parent (zombie)",
                   "it forks no more; look at its parent");
  }
  if ((std::strtoul(fields[kFlagsField].c_str(), nullptr, 10) &
       kKernelThread) != 0) {
    return Nothing(name + " is a thread of the kernel",
                   "it has no memory of its own and is not forked");
  }
  struct stat owner = {};
  if (::stat(folder.c_str(), &owner) == 0 && owner.st_uid != ::geteuid() &&
      ::geteuid() != 0) {
    return Nothing(name + " belongs to another user (" +
                       std::to_string(owner.st_uid) + ")",
                   "run this as that user, or as root");
  }
  return {};
}

void ReadLibraries(const ProcessMemory& memory, ProcessFacts& facts) {
  std::unordered_set<std::string> seen;
  for (const Mapping& mapping : memory.mappings()) {
    if (!mapping.executable || mapping.path.empty() || mapping.path[0] != '/' ||
        !seen.insert(mapping.path).second) {
      continue;
    }
    LibraryFact library;
    library.path = mapping.path;
    for (const KnownCase& known : KnownCases()) {
      if (known.asks.empty() ||
          !Matches(known.library, FileNameOf(mapping.path))) {
        continue;
      }
      library.used = AskLibrary(static_cast<pid_t>(facts.pid), memory, mapping,
                                known.asks);
    }
    facts.libraries.push_back(std::move(library));
  }
}

void ReadHandlers(const std::string& folder, ProcessFacts& facts) {
  auto status = ReadProcFile(folder + "/status");
  const std::size_t at = status ? status->find("\nSigCgt:") : std::string::npos;
  if (at == std::string::npos) return;
  const std::uint64_t caught =
      std::strtoull(status->c_str() + at + 8, nullptr, 16);
  for (int number = 1; number < NSIG; ++number) {
    if ((caught >> (number - 1) & 1) == 0) continue;
    const char* const name = ::sigabbrev_np(number);
    // libc's own (32 and 33) have none.
    if (name != nullptr) facts.handled_signals.emplace_back(name);
  }
}

}  // namespace

Result<ProcessFacts> ReadFacts(pid_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid);
  if (auto checked = CheckProcess(pid, folder); !checked) {
    return checked.error();
  }
  ProcessFacts facts;
  facts.pid = pid;
  char program[4096];
  const ssize_t size =
      ::readlink((folder + "/exe").c_str(), program, sizeof(program));
  if (size > 0) facts.program.assign(program, static_cast<std::size_t>(size));

  auto memory = ProcessMemory::Open(pid);
  if (memory) {
    ReadLibraries(*memory, facts);
    facts.memory_readable = memory->readable();
  } else {
    facts.unreadable.push_back("its libraries: " + memory.error().message);
    facts.memory_readable = false;
    memory = ProcessMemory();
  }
  ReadThreads(*memory, facts);
  ReadDescriptors(facts);
  ReadHandlers(folder, facts);
  if (auto text = ReadProcFile(folder + "/environ")) {
    facts.environment = SplitAtNul(*text);
  } else {
    facts.unreadable.push_back("its environment: " + text.error().message);
  }
  // One that ended while it was looked at has no memory: nothing that was
  // read since then counts.
  if (auto checked = CheckProcess(pid, folder); !checked) {
    return Nothing(
        "process " + std::to_string(pid) + " ended while it was looked at",
        "look at one that lives");
  }
  return facts;
}

}  // namespace forkserver::audit
