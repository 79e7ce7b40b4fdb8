// An audit as text for a person: what, where, why it matters, what to do.
#pragma once

#include <forkserver/types.h>

#include <string>

namespace forkserver::cli {

// kOk, kUnsafe or kUnknown.
int ExitCodeOf(AuditVerdict verdict);

// Several lines, none empty. `subject` begins the first: "process 1234
// (/usr/bin/python3.11)". `indent` goes before each.
std::string Report(const std::string& subject, const Audit& audit,
                   const std::string& indent = "");

}  // namespace forkserver::cli
