// MakeTarget: which target a path is.
#include <filesystem>
#include <utility>

#include "tools/harness/targets/cold_framework.h"
#include "tools/harness/targets/cold_target.h"
#include "tools/harness/targets/plain_program.h"
#include "tools/harness/targets/program_kind.h"
#include "tools/harness/targets/python_target.h"
#include "tools/harness/targets/target.h"
#include "tools/harness/targets/warm_program.h"

namespace forkserver::harness {
namespace {

std::string AbsolutePath(const std::string& path, const std::string& cwd) {
  return (std::filesystem::path(cwd) / path).lexically_normal().string();
}

Result<std::unique_ptr<Target>> MakeProgramTarget(
    const std::string& path, const TargetOptions& options) {
  const std::string absolute = AbsolutePath(path, options.cwd);
  auto kind = FindProgramKind(absolute, options.framework);
  if (!kind) return kind.error();
  if (kind->warm && !options.cold) {
    return MakeWarmProgram(path, absolute, std::string(NameOf(kind->framework)),
                           options);
  }
  switch (kind->framework) {
    case Framework::kDoctest:
      return MakeColdTarget(path, absolute, MakeColdDoctest(), options);
    case Framework::kGoogleTest:
      return MakeColdTarget(path, absolute, MakeColdGoogleTest(), options);
    case Framework::kCatch2:
      return MakeColdTarget(path, absolute, MakeColdCatch2(), options);
    case Framework::kNone:
      break;
  }
  return MakePlainProgram(path, absolute, options);
}

}  // namespace

Result<std::unique_ptr<Target>> MakeTarget(const std::string& path,
                                           const TargetOptions& options) {
  if (path.empty()) {
    return MakeError(error_code::kBadRequest, "a target is an empty path",
                     "name a test program, or a Python test path");
  }
  const std::string& framework = options.framework;
  if (framework == "unittest" || framework == "pytest" ||
      (framework.empty() && IsPythonTarget(path))) {
    if (options.cold) {
      return MakeError(error_code::kBadRequest,
                       "--cold is for programs; " + path + " is Python",
                       "run it with its own runner to start it for each test");
    }
    return MakePythonTarget(path, options);
  }
  return MakeProgramTarget(path, options);
}

}  // namespace forkserver::harness
