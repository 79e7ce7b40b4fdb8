// An audit as text for a person: what, where, why it matters, what to do.
#pragma once

#include <forkserver/types.h>

#include <string>

namespace forkserver::cli {

// kOk, kUnsafe or kUnknown.
int ExitCodeOf(AuditVerdict verdict);

// Names the functions that threads began with, where the reasons and notes
// have their place in a file: "started by /opt/libfoo.so+0x10, RunLoop()".
void NameStarters(Audit& audit);

// Several lines, none empty. `subject` begins the first: "process 1234
// (/usr/bin/python3.11)". `indent` goes before each.
std::string Report(const std::string& subject, const Audit& audit,
                   const std::string& indent = "");

}  // namespace forkserver::cli
