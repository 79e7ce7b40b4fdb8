// forkserverd against the bare ways, in one run. See docs/performance.md.
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#ifdef __linux__
#include <gnu/libc-version.h>
#endif

#include "sdk/base/version.h"
#include "tools/benchmark/cases.h"

namespace forkserver::benchmark {
namespace {

struct Case {
  const char* name;
  Rows (*measure)(const CaseContext&);
};

constexpr Case kCases[] = {
    {"exec_tiny", MeasureExecTiny},
    {"exec_true", MeasureExecTrue},
    {"forked", MeasureForked},
    {"multiprocessing", MeasureMultiprocessing},
    {"throughput_exec", MeasureThroughputExec},
    {"throughput_forked", MeasureThroughputForked},
    {"live_exec", MeasureLiveExec},
    {"live_forked", MeasureLiveForked},
    {"journey", MeasureJourney},
};

struct Options {
  std::string json;
  std::vector<std::string> cases;  // all when empty
  std::chrono::seconds patience{5};
  bool quick = false;
  bool list = false;
};

void PrintUsage(std::FILE* stream) {
  std::fputs(
      "usage: benchmark [--quick] [--json FILE] [--case NAME]... [--list]\n"
      "                 [--patience SECONDS]\n"
      "\n"
      "Measures forkserverd against the bare ways of making a process, in\n"
      "turn. It starts daemons of its own and stops them.\n"
      "\n"
      "  --quick      few rounds: to see that it works, not to compare\n"
      "  --json FILE  writes the figures there too\n"
      "  --case NAME  only this case; may be repeated\n"
      "  --list       prints the names of the cases\n"
      "  --patience SECONDS\n"
      "               how long a measurement (a case has one or two) may be\n"
      "               put off in all while other processes run (5)\n",
      stream);
}

bool Known(const std::string& name) {
  for (const Case& one : kCases) {
    if (name == one.name) return true;
  }
  return false;
}

// False: what is wrong has been said.
bool Parse(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const auto value = [&]() -> const char* {
      if (++i < argc) return argv[i];
      std::fprintf(stderr, "benchmark: %s needs a value\n", argv[i - 1]);
      return nullptr;
    };
    if (word == "--quick") {
      options.quick = true;
    } else if (word == "--list") {
      options.list = true;
    } else if (word == "--help" || word == "-h") {
      PrintUsage(stdout);
      std::exit(0);
    } else if (word == "--json") {
      const char* const path = value();
      if (path == nullptr) return false;
      options.json = path;
    } else if (word == "--patience") {
      const char* const seconds = value();
      if (seconds == nullptr) return false;
      options.patience = std::chrono::seconds(std::atoi(seconds));
    } else if (word == "--case") {
      const char* const name = value();
      if (name == nullptr) return false;
      if (!Known(name)) {
        std::fprintf(stderr, "benchmark: there is no case '%s'; see --list\n",
                     name);
        return false;
      }
      options.cases.emplace_back(name);
    } else {
      std::fprintf(stderr, "benchmark: unknown argument %s\n", argv[i]);
      PrintUsage(stderr);
      return false;
    }
  }
  return true;
}

bool Wanted(const Options& options, std::string_view name) {
  if (options.cases.empty()) return true;
  for (const std::string& one : options.cases) {
    if (one == name) return true;
  }
  return false;
}

// All are built and laid out together: beside this program, or in the folder
// of forkserverd at the same root.
Programs FindPrograms(const char* argv0) {
  std::string folder(argv0);
  const std::size_t slash = folder.rfind('/');
  folder = slash == std::string::npos ? "." : folder.substr(0, slash);
  if (char* const absolute = ::realpath(folder.c_str(), nullptr)) {
    folder = absolute;
    std::free(absolute);
  }
  return {folder + "/../../server/forkserverd", folder + "/benchmark_zygote",
          folder + "/tiny_program", folder + "/multiprocessing_forkserver.py"};
}

Result<void> CheckPrograms(const Programs& programs) {
  for (const std::string& each : {programs.forkserverd, programs.zygote,
                                  programs.tiny, programs.python_test}) {
    if (::access(each.c_str(), R_OK) == 0) continue;
    return MakeError(error_code::kSystem,
                     each + " is missing: start it with tools/bench");
  }
  return {};
}

Facts DescribeVersions() {
  Facts versions = {{"forkserverd", kVersion}, {"compiler", __VERSION__}};
#ifdef __linux__
  versions.emplace_back("libc", std::string("glibc ") + gnu_get_libc_version());
#endif
  if (std::FILE* const python = ::popen("/usr/bin/python3 --version", "r")) {
    char text[64] = {};
    if (std::fgets(text, sizeof(text), python) != nullptr) {
      text[std::strcspn(text, "\n")] = '\0';
      const char* const space = std::strchr(text, ' ');
      versions.emplace_back("python", space != nullptr ? space + 1 : text);
    }
    ::pclose(python);
  }
  return versions;
}

int Run(const Options& options, CaseContext& context) {
  const Facts machine = DescribeMachine();
  const Facts versions = DescribeVersions();
  PrintHeader(machine, versions);
  std::vector<Row> all;
  int failed = 0;
  for (const Case& one : kCases) {
    if (!Wanted(options, one.name)) continue;
    auto rows = one.measure(context);
    if (!rows) {
      std::fprintf(stderr, "benchmark: %s: %s\n", one.name,
                   rows.error().ToString().c_str());
      ++failed;
      continue;
    }
    PrintRows(*rows);
    all.insert(all.end(), rows->begin(), rows->end());
  }
  if (!options.json.empty() &&
      !WriteJson(options.json, machine, versions, all)) {
    return 1;
  }
  return failed == 0 ? 0 : 1;
}

int Main(int argc, char** argv) {
  Options options;
  if (!Parse(argc, argv, options)) return 2;
  if (options.list) {
    for (const Case& one : kCases) std::puts(one.name);
    return 0;
  }
  // A helper that ended is an error of its case.
  std::signal(SIGPIPE, SIG_IGN);
  for (const char* name : {"FORKSERVER_DISABLE", "FORKSERVER_SOCKET"}) {
    ::unsetenv(name);
  }
  CaseContext context;
  context.programs = FindPrograms(argv[0]);
  context.quick = options.quick;
  if (!options.quick) context.patience = options.patience;
  if (auto found = CheckPrograms(context.programs); !found) {
    std::fprintf(stderr, "benchmark: %s\n", found.error().ToString().c_str());
    return 1;
  }
  char stamp_file[] = "/tmp/fsb-stampXXXXXX";
  const int fd = ::mkstemp(stamp_file);
  if (fd >= 0) ::close(fd);
  ::setenv(kStampVariable, stamp_file, 1);
  context.stamp = MapStamp();
  int outcome = 1;
  if (context.stamp != nullptr) {
    outcome = Run(options, context);
  } else {
    std::fprintf(stderr, "benchmark: %s cannot be mapped: %s\n", stamp_file,
                 std::strerror(errno));
  }
  ::unlink(stamp_file);
  return outcome;
}

}  // namespace
}  // namespace forkserver::benchmark

int main(int argc, char** argv) {
  return forkserver::benchmark::Main(argc, argv);
}
