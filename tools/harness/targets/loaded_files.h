// What Python tests were loaded from, as their zygote tells it, against what is
// there now.
#pragma once

#include <forkserver/result.h>

#include <map>
#include <string>
#include <vector>

#include "sdk/protocol/test_messages.h"
#include "tools/harness/targets/fingerprint.h"

namespace forkserver::harness {

// The files with their contents, which are read. One that is not any more what
// the zygote has loaded has no digest: it never is the same again.
std::map<std::string, FileContent> ContentsOf(const protocol::TestFiles& files);

// What is not as it was, for a person: "changed: tests/test_cart.py", "gone:
// ...", "new: ...". Contents are read of files that were touched only. Paths
// are shown relative to `cwd` where they are below it.
std::vector<std::string> ChangesOf(
    const std::map<std::string, FileContent>& contents,
    const protocol::TestFiles& files, const std::string& cwd);

}  // namespace forkserver::harness
