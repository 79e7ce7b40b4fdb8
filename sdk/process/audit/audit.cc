#include "sdk/process/audit/audit.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "sdk/process/audit/known_cases.h"
#include "sdk/process/audit/read_facts.h"

namespace forkserver::audit {
namespace {

constexpr char kThread[] = "thread";
constexpr char kLibrary[] = "library";
constexpr char kDescriptor[] = "descriptor";
constexpr char kLock[] = "lock";
constexpr char kHandlers[] = "handlers";
constexpr char kEnvironment[] = "environment";

constexpr char kUnexplained[] =
    "nothing is known of it: a lock that it holds at the fork stays locked in "
    "the child, and who waits for it there waits for ever";
constexpr char kThreadAdvice[] =
    "start threads in the workers, not before they are forked";
constexpr char kDescriptorAdvice[] =
    "close it before the fork and open it in the worker";

std::string Quote(const std::string& text) { return "'" + text + "'"; }

const KnownCase* CaseOfThread(const ThreadFact& thread) {
  for (const KnownCase& known : KnownCases()) {
    if (Matches(known.thread, thread.name) ||
        (!thread.library.empty() &&
         Matches(known.thread_of, FileNameOf(thread.library)))) {
      return &known;
    }
  }
  return nullptr;
}

struct KindText {
  DescriptorKind kind;
  const char* name;
  const char* why;
};

// The kinds that two processes cannot share.
constexpr KindText kUnsafeKinds[] = {
    {DescriptorKind::kConnected, "connection",
     "both processes read from one connection: each gets a part of the "
     "answers, and of the other's"},
    {DescriptorKind::kEventPoll, "event queue (epoll)",
     "what the child adds to it or takes from it changes the parent's, which "
     "then waits for the wrong things"},
    {DescriptorKind::kEventFd, "eventfd",
     "a wake-up that is meant for one process is taken by the other"},
    {DescriptorKind::kTimerFd, "timer (timerfd)",
     "a tick that is meant for one process is taken by the other"},
    {DescriptorKind::kInotify, "file watch (inotify)",
     "each change is told to one of the two processes only"},
    {DescriptorKind::kIoUring, "io_uring",
     "its rings are shared memory that neither process can use alone"},
    {DescriptorKind::kUserFault, "userfaultfd",
     "page faults of the parent are served by whoever reads first"},
};

// Those that are worth knowing of.
constexpr KindText kNotedKinds[] = {
    {DescriptorKind::kListening, "listening socket",
     "both processes can accept its connections"},
    {DescriptorKind::kDatagram, "socket without a connection",
     "a message is read by one of the two processes"},
    {DescriptorKind::kSharedMemory, "shared memory",
     "what one process writes the other sees"},
    {DescriptorKind::kFile, "file", "both processes move one file offset"},
};

class Judgement {
 public:
  Judgement(const ProcessFacts& facts, const OwnWords& words)
      : facts_(facts), words_(words) {}

  Audit Pass() {
    JudgeThreads();
    JudgeLibraries();
    for (const DescriptorFact& each : facts_.descriptors) JudgeDescriptor(each);
    JudgeLocks();
    NoteHandlers();
    NoteEnvironment();
    audit_.unreadable.insert(audit_.unreadable.end(), facts_.unreadable.begin(),
                             facts_.unreadable.end());
    if (!audit_.reasons.empty()) {
      audit_.verdict = AuditVerdict::kUnsafe;
    } else if (!audit_.unreadable.empty()) {
      audit_.verdict = AuditVerdict::kUnknown;
    }
    return std::move(audit_);
  }

 private:
  // Threads that differ in their number only are one finding.
  void JudgeThreads() {
    using Alike = std::tuple<std::string, std::string, std::string, std::string,
                             std::string, bool>;
    std::map<Alike, std::vector<const ThreadFact*>> groups;
    for (const ThreadFact& thread : facts_.threads) {
      const auto note = words_.threads.find(thread.id);
      const bool noted = note != words_.threads.end();
      groups[{noted ? note->second.name : thread.name, thread.library,
              noted ? note->second.started_by : "",
              noted ? note->second.step : "", thread.doing,
              noted && note->second.survives}]
          .push_back(&thread);
    }
    for (const auto& [alike, threads] : groups) {
      const auto& [name, library, started_by, step, doing, survives] = alike;
      AuditFinding finding;
      finding.kind = kThread;
      finding.what = threads.size() == 1
                         ? "thread " + std::to_string(threads[0]->id) + " "
                         : std::to_string(threads.size()) + " threads ";
      finding.what += Quote(name);
      if (!started_by.empty()) {
        finding.where = "a Python thread started by module " + started_by;
      } else if (!library.empty()) {
        finding.where = "started by " + library;
        if (threads[0]->offset != 0) {
          char offset[32];
          std::snprintf(offset, sizeof(offset), "+0x%llx",
                        static_cast<unsigned long long>(threads[0]->offset));
          finding.where += offset;
        }
      }
      if (!doing.empty()) {
        finding.where += (finding.where.empty() ? "it " : "; it ") + doing;
      }
      finding.step = step;
      ThreadFact alias = *threads[0];
      alias.name = name;
      const KnownCase* known = CaseOfThread(alias);
      if (known == nullptr) known = CaseOfThread(*threads[0]);
      if (survives && (known == nullptr || !known->survives)) {
        finding.why = "it was said to survive a fork";
        audit_.notes.push_back(std::move(finding));
        continue;
      }
      if (known == nullptr && library.empty() && started_by.empty() &&
          !facts_.memory_readable) {
        audit_.unreadable.push_back(
            "who started " + finding.what +
            ": its memory may not be read (root may, or anybody with "
            "kernel.yama.ptrace_scope=0)");
        continue;
      }
      Fill(finding, known, kUnexplained, kThreadAdvice);
      Add(std::move(finding), known != nullptr && known->survives);
    }
  }

  void JudgeLibraries() {
    for (const KnownCase& known : KnownCases()) {
      if (known.library.empty()) continue;
      const auto answer = words_.library_answers.find(known.asks);
      if (answer != words_.library_answers.end()) {
        if (answer->second) AddUsed(known, PathOf(known));
        continue;
      }
      for (const LibraryFact& library : facts_.libraries) {
        if (!Matches(known.library, FileNameOf(library.path))) continue;
        if (library.used) {
          if (*library.used) AddUsed(known, library.path);
          continue;
        }
        audit_.unreadable.push_back(
            "whether " + library.path + " (" + known.title + ") was used: " +
            (known.asks.empty()
                 ? "it does not tell"
                 : known.asks + "() cannot be asked from outside"));
      }
    }
  }

  // The file of a library that answered; it may not be among the mapped ones
  // (macOS keeps the system's in one cache).
  std::string PathOf(const KnownCase& known) const {
    for (const LibraryFact& library : facts_.libraries) {
      if (Matches(known.library, FileNameOf(library.path))) return library.path;
    }
    return known.library[0];
  }

  void AddUsed(const KnownCase& known, const std::string& path) {
    AuditFinding finding;
    finding.kind = kLibrary;
    finding.what = "library " + path;
    finding.where = known.asks + "() says that it was used";
    finding.step = StepOf(words_.library_steps, path);
    Fill(finding, &known, "", "");
    Add(std::move(finding), false);
  }

  void JudgeDescriptor(const DescriptorFact& descriptor) {
    if (words_.given_fds.count(descriptor.fd) != 0) return;
    // The streams are given: a worker gets others.
    if (descriptor.fd <= 2) return;
    AuditFinding finding;
    finding.kind = kDescriptor;
    finding.step = StepOf(words_.fd_steps, descriptor.fd);
    const std::string number = "descriptor " + std::to_string(descriptor.fd);
    if (descriptor.kind == DescriptorKind::kUnknownSocket) {
      audit_.unreadable.push_back("what " + number +
                                  " is: a socket that the system does not "
                                  "list (" +
                                  descriptor.text + ")");
      return;
    }
    const bool shareable = descriptor.kind == DescriptorKind::kListening;
    for (const KnownCase& known : KnownCases()) {
      if (shareable || (!Matches(known.descriptor, descriptor.text) &&
                        !Matches(known.descriptor, descriptor.peer))) {
        continue;
      }
      finding.what = number;
      finding.where = descriptor.text;
      Fill(finding, &known, "", "");
      Add(std::move(finding), known.survives);
      return;
    }
    for (const KindText& kind : kUnsafeKinds) {
      if (kind.kind != descriptor.kind) continue;
      finding.what = number + ", " + kind.name;
      finding.where = descriptor.text;
      if (kind.kind == DescriptorKind::kConnected) {
        Explain(finding);
      }
      Fill(finding, nullptr, kind.why, kDescriptorAdvice);
      Add(std::move(finding), false);
      return;
    }
    for (const KindText& kind : kNotedKinds) {
      if (kind.kind != descriptor.kind) continue;
      finding.what = number + ", " + kind.name;
      finding.where = descriptor.text;
      finding.why = kind.why;
      Add(std::move(finding), true);
      return;
    }
  }

  // Whose connection it may be, and what that means. The rows come in the
  // order of the table: what is special before what is general.
  void Explain(AuditFinding& finding) {
    for (const KnownCase& known : KnownCases()) {
      for (const LibraryFact& library : facts_.libraries) {
        if (!Matches(known.explains, FileNameOf(library.path))) continue;
        finding.where += "; " + library.path + " is loaded";
        finding.known_as = known.id;
        finding.why = known.title + ": " + known.why;
        finding.advice = known.advice;
        return;
      }
    }
  }

  void JudgeLocks() {
    for (const LockFact& lock : facts_.locks) {
      AuditFinding finding;
      finding.kind = kLock;
      finding.what = "a lock in " + lock.where;
      finding.where = "held by thread " + std::to_string(lock.holder) +
                      ", thread " + std::to_string(lock.waiter) +
                      " waits for it";
      finding.why = "it stays locked in the child, where its holder is not";
      finding.advice = kThreadAdvice;
      Add(std::move(finding), false);
    }
  }

  void NoteHandlers() {
    if (facts_.handled_signals.empty()) return;
    AuditFinding finding;
    finding.kind = kHandlers;
    finding.what = "signal handlers:";
    for (const std::string& name : facts_.handled_signals) {
      finding.what += " " + name;
    }
    finding.why = "a forked child has them too";
    audit_.notes.push_back(std::move(finding));
  }

  void NoteEnvironment() {
    for (const std::string& variable : facts_.environment) {
      for (const KnownCase& known : KnownCases()) {
        if (!Matches(known.environment, variable)) continue;
        AuditFinding finding;
        finding.kind = kEnvironment;
        finding.what = variable;
        Fill(finding, &known, "", "");
        audit_.notes.push_back(std::move(finding));
      }
    }
  }

  template <typename Key>
  static std::string StepOf(const std::map<Key, std::string>& steps,
                            const Key& key) {
    const auto found = steps.find(key);
    return found == steps.end() ? std::string() : found->second;
  }

  static void Fill(AuditFinding& finding, const KnownCase* known,
                   const char* why, const char* advice) {
    if (known != nullptr) {
      finding.known_as = known->id;
      finding.why = known->title + ": " + known->why;
      finding.advice = known->advice;
    }
    if (finding.why.empty()) finding.why = why;
    if (finding.advice.empty()) finding.advice = advice;
  }

  void Add(AuditFinding finding, bool harmless) {
    if (harmless) finding.advice.clear();
    (harmless ? audit_.notes : audit_.reasons).push_back(std::move(finding));
  }

  const ProcessFacts& facts_;
  const OwnWords& words_;
  Audit audit_;
};

}  // namespace

Audit Judge(const ProcessFacts& facts, const OwnWords& words) {
  return Judgement(facts, words).Pass();
}

Result<Audit> AuditProcess(pid_t pid, const OwnWords& words) {
  auto facts = ReadFacts(pid);
  if (!facts) return facts.error();
  return Judge(*facts, words);
}

Result<Audit> AuditDaemon(pid_t pid) {
  auto facts = ReadFacts(pid);
  if (!facts) return facts.error();
  facts->descriptors.clear();
  return Judge(*facts, {});
}

std::vector<std::string> SymbolsToAsk() {
  std::vector<std::string> symbols;
  for (const KnownCase& known : KnownCases()) {
    if (!known.asks.empty()) symbols.push_back(known.asks);
  }
  return symbols;
}

std::vector<std::string> SurvivingLibraries() {
  std::vector<std::string> patterns;
  for (const KnownCase& known : KnownCases()) {
    if (!known.survives) continue;
    patterns.insert(patterns.end(), known.thread_of.begin(),
                    known.thread_of.end());
  }
  return patterns;
}

std::string Describe(const AuditFinding& finding) {
  std::string text = finding.what;
  if (!finding.where.empty()) text += ", " + finding.where;
  if (!finding.step.empty()) text += ", in " + finding.step;
  if (!finding.why.empty()) text += " (" + finding.why + ")";
  return text;
}

std::string Describe(const Audit& audit) {
  std::string text;
  for (const AuditFinding& reason : audit.reasons) {
    if (!text.empty()) text += "; ";
    text += Describe(reason);
  }
  for (const std::string& unknown : audit.unreadable) {
    if (!text.empty()) text += "; ";
    text += "it cannot be known: " + unknown;
  }
  return text;
}

}  // namespace forkserver::audit
