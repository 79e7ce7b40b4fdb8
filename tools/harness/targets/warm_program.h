// A test program that linked a test main of this SDK: it is a zygote, and each
// test is forked from it.
//
// With TargetOptions::keep_zygote the zygote lives on after the run, and the
// next one uses it if nothing of it has changed; `why` of TargetReady says what
// had. Without, it ends with the client.
#pragma once

#include <memory>
#include <string>

#include "tools/harness/targets/target.h"

namespace forkserver::harness {

// `path` is absolute; `framework` is "doctest" or "gtest".
std::unique_ptr<Target> MakeWarmProgram(std::string label, std::string path,
                                        std::string framework,
                                        TargetOptions options);

}  // namespace forkserver::harness
