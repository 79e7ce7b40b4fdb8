#include "server/execute_anew.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string_view>

#include "sdk/process/platform.h"

namespace forkserver::server {
namespace {

// Set to the pid of a process that is executed anew, for itself.
constexpr char kMark[] = "FORKSERVER_EXECUTED_ANEW";

constexpr std::string_view kNeeded[] = {
    "HOME",
    "LOGNAME",
    "PATH",
    "USER",
    // It may not start without.
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
    "LISTEN_FDS",
    "LISTEN_PID",
    // Of the compilers' own libraries, in builds that have them.
    "ASAN_OPTIONS",
    "LSAN_OPTIONS",
    "UBSAN_OPTIONS",
    "LLVM_PROFILE_FILE",
};

bool IsNeeded(std::string_view name) {
  return name.starts_with("FORKSERVER_") || name.starts_with("XDG_") ||
         std::find(std::begin(kNeeded), std::end(kNeeded), name) !=
             std::end(kNeeded);
}

}  // namespace

std::vector<std::string> KeepNeededVariables(const char* const* variables) {
  std::vector<std::string> kept;
  for (; *variables != nullptr; ++variables) {
    const std::string_view variable = *variables;
    const auto equals = variable.find('=');
    if (equals != variable.npos && IsNeeded(variable.substr(0, equals))) {
      kept.emplace_back(variable);
    }
  }
  return kept;
}

Result<void> ExecuteAnew(char** argv) {
  const std::string pid = std::to_string(::getpid());
  const char* const mark = std::getenv(kMark);
  const bool is_anew = mark != nullptr && pid == mark;
  ::unsetenv(kMark);
  if (is_anew) return {};

  std::vector<std::string> variables = KeepNeededVariables(OwnEnvironment());
  variables.push_back(std::string(kMark) + "=" + pid);
  std::vector<char*> environment;
  environment.reserve(variables.size() + 1);
  for (std::string& variable : variables) {
    environment.push_back(variable.data());
  }
  environment.push_back(nullptr);
  const std::string program = ExecutablePath();
  ::execve(program.c_str(), argv, environment.data());
  return SystemError("execve(" + program + ")", errno);
}

}  // namespace forkserver::server
