// What is remembered of a kept zygote between two runs: its id and what it was
// made of. A file for each, in the state directory of the project.
#pragma once

#include <forkserver/result.h>

#include <optional>
#include <string>

#include "sdk/base/unique_fd.h"
#include "tools/harness/targets/fingerprint.h"

namespace forkserver::harness {

struct ZygoteRecord {
  std::string zygote;  // its id, which never repeats
  Fingerprint fingerprint;
};

// Empty if there is none, or none that can be read: then the zygote is made
// anew.
std::optional<ZygoteRecord> ReadZygoteRecord(const std::string& path);

// Replaces the file at once: whoever reads it sees the old or the new one. Only
// its owner may read it.
Result<void> WriteZygoteRecord(const std::string& path,
                               const ZygoteRecord& record);

// Of runs that would start the same zygote one does, and the others wait until
// what they are given is closed. Invalid if that cannot be: they do not wait.
// Removes what of others has not been used for a week.
UniqueFd LockZygote(const std::string& directory, const std::string& digest);

}  // namespace forkserver::harness
