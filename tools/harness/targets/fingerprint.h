// What a test zygote is made of, so that one that was kept is used again only
// if everything is the same. Plain values, but for Take, which reads files.
#pragma once

#include <forkserver/result.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tools/harness/targets/file_identity.h"
#include "tools/harness/targets/target.h"

namespace forkserver::harness {

struct FileContent {
  FileIdentity identity;  // so that its content need not be read again
  std::string digest;
};

struct Fingerprint {
  std::string program;  // path
  // The program and its libraries, by path.
  std::map<std::string, FileContent> files;
  std::vector<std::string> arguments;
  std::vector<std::string> preload;
  std::string cwd;
  // Values; of what looks like a secret and of long ones the digest, after
  // "#".
  std::map<std::string, std::string> environment;
};

// Of what there is now. Content is read where `known` does not have it with
// the same identity. Errors: a file of `paths` cannot be read.
Result<Fingerprint> TakeFingerprint(const std::string& program,
                                    const std::vector<std::string>& paths,
                                    const TargetOptions& options,
                                    const Fingerprint* known);

// Of what a run was asked for: arguments, preload steps, folder, environment.
// Two runs at a time that differ in it have zygotes of their own.
std::string DigestOfOptions(const Fingerprint& fingerprint);

// What makes `now` another one, for a person, each with its old and new value:
// "binary: render_tests", "library: /usr/lib/libx.so", "environment: LANG de ->
// en". Files of `before` that `now` lacks are gone.
std::vector<std::string> DescribeDifferences(const Fingerprint& before,
                                             const Fingerprint& now);

// Variables that change from run to run and say nothing about tests; the list
// is in docs/cpp_sdk.md. `name` alone.
bool IsVolatileVariable(std::string_view name);

}  // namespace forkserver::harness
