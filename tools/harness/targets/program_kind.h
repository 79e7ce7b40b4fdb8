// Which framework's tests a program contains, found out by looking into its
// file: by what the test mains of this SDK put there, and by texts that the
// help of a framework has. It is not run.
#pragma once

#include <forkserver/result.h>

#include <string>
#include <string_view>

namespace forkserver::harness {

enum class Framework { kDoctest, kGoogleTest, kCatch2, kNone };

// "doctest", "gtest", "catch2", "program".
std::string_view NameOf(Framework framework);

struct ProgramKind {
  Framework framework = Framework::kNone;
  bool warm = false;  // it can be a zygote
};

// `path` is absolute. `wanted`: a name as above, which wins over what is
// found; empty: whatever is found. Errors: there is no such file, it is a
// folder, it cannot be executed, no such framework; each says what to do.
Result<ProgramKind> FindProgramKind(const std::string& path,
                                    const std::string& wanted);

}  // namespace forkserver::harness
