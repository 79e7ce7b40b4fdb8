// The audit: is this process safe to fork, and if not, why, what is to be
// done, and which preload step brought it in?
//
//   auto audit = AuditProcess(pid, {});
//   if (audit && audit->verdict != AuditVerdict::kSafe) ...
//
// A thread that nothing explains is unsafe; what could not be read makes the
// verdict unknown, unless something else is unsafe already.
#pragma once

#include <forkserver/result.h>
#include <forkserver/types.h>
#include <sys/types.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "sdk/process/audit/facts.h"

namespace forkserver::audit {

// What a process tells of itself, to be held against what is seen of it.
struct OwnWords {
  // Its channels to the daemon, and what the request gave it: not its own.
  std::set<int> given_fds;
  // By thread id.
  std::map<std::int64_t, ThreadNote> threads;  // with their steps
  // What libraries answered when they were asked from within, by symbol.
  std::map<std::string, bool> library_answers;
  // The preload step after which a descriptor or library was first there.
  std::map<int, std::string> fd_steps;
  std::map<std::string, std::string> library_steps;
};

// Pure: the same facts give the same verdict.
Audit Judge(const ProcessFacts& facts, const OwnWords& words);

// ReadFacts and Judge; blocking and errors are ReadFacts'.
Result<Audit> AuditProcess(pid_t pid, const OwnWords& words);

// The same of forkserverd, whose descriptors are no reason: it closes them in
// each of its children.
Result<Audit> AuditDaemon(pid_t pid);

// The functions by which libraries answer, to be asked from within.
std::vector<std::string> SymbolsToAsk();
// Patterns of the file names of libraries whose threads survive a fork.
std::vector<std::string> SurvivingLibraries();

// "thread 1240 'gdbus', started by /usr/lib/libgio-2.0.so.0, in preload x: why"
std::string Describe(const AuditFinding& finding);
// The reasons and what is unknown, on one line; empty when it is safe.
std::string Describe(const Audit& audit);

}  // namespace forkserver::audit
