// forkserverd against the bare ways, in one run. See docs/performance.md.
#include <forkserver/version.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#ifdef __linux__
#include <gnu/libc-version.h>
#endif

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
    {"python_process", MeasurePythonProcess},
    {"python_pool", MeasurePythonPool},
    {"python_django", MeasurePythonDjango},
    {"harness_doctest", MeasureHarnessDoctest},
    {"harness_gtest", MeasureHarnessGtest},
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

// All are built and laid out together: beside this program, or elsewhere below
// the same root.
Programs FindPrograms(const char* argv0) {
  std::error_code failed;
  // What cannot be resolved is reported as missing.
  const std::filesystem::path folder = std::filesystem::canonical(
      std::filesystem::path(argv0).parent_path() / ".", failed);
  const std::filesystem::path root = folder.parent_path().parent_path();
  Programs programs;
  programs.forkserverd = root / "server/forkserverd";
  programs.zygote = folder / "benchmark_zygote";
  programs.tiny = folder / "tiny_program";
  programs.contender = folder / "multiprocessing_contender.py";
  programs.package = root / "sdk/python";
  programs.project = root / "tests/e2e/django_project";
  programs.forkserver = root / "tools/forkserver/forkserver";
  programs.many_doctests = folder / "many_doctests";
  programs.many_gtests = folder / "many_gtests";
  return programs;
}

Result<void> CheckPrograms(const Programs& programs) {
  for (const std::string& each :
       {programs.forkserverd, programs.zygote, programs.tiny,
        programs.contender, programs.package, programs.project,
        programs.forkserver, programs.many_doctests, programs.many_gtests}) {
    if (::access(each.c_str(), R_OK) == 0) continue;
    return MakeError(error_code::kSystem,
                     each + " is missing: start it with tools/bench");
  }
  return {};
}

// The line that a program of Python prints; empty if it fails.
std::string AskPython(const std::string& program) {
  const std::string command =
      std::string(kPython) + " -c '" + program + "' 2>/dev/null";
  std::FILE* const output = ::popen(command.c_str(), "r");
  if (output == nullptr) return {};
  char line[64] = {};
  if (std::fgets(line, sizeof(line), output) != nullptr) {
    line[std::strcspn(line, "\n")] = '\0';
  }
  ::pclose(output);
  return line;
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
    const std::string version = AskPython(question);
    if (!version.empty()) versions.emplace_back(name, version);
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
  // Without its bytecode Python would compile each time what is installed
  // compiled.
  for (const char* name :
       {"FORKSERVER_DISABLE", "FORKSERVER_SOCKET", "PYTHONDONTWRITEBYTECODE"}) {
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
