#include "tools/benchmark/facts.h"

#include <forkserver/version.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <string>
#include <utility>

#ifdef __linux__
#include <gnu/libc-version.h>
#endif

#include "tools/benchmark/private_daemon.h"

namespace forkserver::benchmark {
namespace {

std::string CpuModel() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) != 0) continue;
    const std::size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  utsname system = {};
  ::uname(&system);
  return system.machine;
}

std::string Today() {
  const std::time_t now = std::time(nullptr);
  std::tm parts = {};
  ::gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

// The line that a command of the shell prints; empty if it prints none.
std::string LineOf(const std::string& command) {
  std::FILE* const output = ::popen((command + " 2>/dev/null").c_str(), "r");
  if (output == nullptr) return {};
  char line[64] = {};
  if (std::fgets(line, sizeof(line), output) != nullptr) {
    line[std::strcspn(line, "\n")] = '\0';
  }
  ::pclose(output);
  return line;
}

}  // namespace

Facts DescribeMachine() {
  utsname system = {};
  ::uname(&system);
  return {{"cpu", CpuModel()},
          {"cores", std::to_string(::sysconf(_SC_NPROCESSORS_ONLN))},
          {"kernel", std::string(system.sysname) + " " + system.release},
          {"date", Today()}};
}

Facts DescribeVersions() {
  Facts versions = {{"forkserverd", kVersion}, {"compiler", __VERSION__}};
#ifdef __linux__
  versions.emplace_back("libc", std::string("glibc ") + gnu_get_libc_version());
#endif
  const char kOfPython[] = "import platform; print(platform.python_version())";
  const char kOfDjango[] = "import django; print(django.get_version())";
  for (const auto& [name, question] :
       {std::pair("python", kOfPython), std::pair("django", kOfDjango)}) {
    const std::string version =
        LineOf(std::string(kPython) + " -c '" + question + "'");
    if (!version.empty()) versions.emplace_back(name, version);
  }
  for (const auto& [name, package] :
       {std::pair("libuv", "libuv1"), std::pair("node", "nodejs"),
        std::pair("erlang", "erlang-base"), std::pair("afl++", "afl++"),
        std::pair("s6", "s6")}) {
    const std::string version =
        LineOf(std::string("dpkg-query -W -f '${Version}' ") + package);
    if (!version.empty()) versions.emplace_back(name, version);
  }
  return versions;
}

}  // namespace forkserver::benchmark
