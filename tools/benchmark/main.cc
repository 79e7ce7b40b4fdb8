// forkserverd against the bare ways, in one run. See docs/performance.md.
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "tools/benchmark/cases.h"
#include "tools/benchmark/compare.h"
#include "tools/benchmark/facts.h"
#include "tools/benchmark/figures.h"
#include "tools/benchmark/options.h"
#include "tools/benchmark/page.h"

namespace forkserver::benchmark {
namespace {

struct Case {
  const char* name;
  Rows (*measure)(const CaseContext&);
};

constexpr Case kCases[] = {
    {"exec_tiny", MeasureExecTiny},
    {"exec_true", MeasureExecTrue},
    {"exec_large", MeasureExecLarge},
    {"forked", MeasureForked},
    {"forked_large", MeasureForkedLarge},
    {"forked_busy", MeasureForkedBusy},
    {"multiprocessing", MeasureMultiprocessing},
    {"throughput_exec", MeasureThroughputExec},
    {"throughput_forked", MeasureThroughputForked},
    {"live_exec", MeasureLiveExec},
    {"live_forked", MeasureLiveForked},
    {"connections", MeasureConnections},
    {"events", MeasureEvents},
    {"peers_true", MeasurePeersTrue},
    {"peers_forked", MeasurePeersForked},
    {"journey", MeasureJourney},
    {"python_process", MeasurePythonProcess},
    {"python_pool", MeasurePythonPool},
    {"python_spare", MeasurePythonSpare},
    {"python_django", MeasurePythonDjango},
    {"harness_doctest", MeasureHarnessDoctest},
    {"harness_gtest", MeasureHarnessGtest},
};

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
  programs.python_entry = folder / "python_entry.py";
  programs.package = root / "sdk/python";
  programs.project = root / "tests/e2e/django_project";
  programs.forkserver = root / "tools/forkserver/forkserver";
  programs.many_doctests = folder / "many_doctests";
  programs.many_gtests = folder / "many_gtests";
  programs.peers = folder / "peers";
  return programs;
}

Result<void> CheckPrograms(const Programs& programs) {
  for (const std::string& each :
       {programs.forkserverd, programs.zygote, programs.tiny,
        programs.contender, programs.python_entry, programs.package,
        programs.project, programs.forkserver, programs.many_doctests,
        programs.many_gtests, programs.peers}) {
    if (::access(each.c_str(), R_OK) == 0) continue;
    return MakeError(error_code::kSystem,
                     each + " is missing: start it with tools/bench");
  }
  return {};
}

void Complain(const std::string& what, const Error& error) {
  std::fprintf(stderr, "benchmark: %s%s\n", what.c_str(),
               error.ToString().c_str());
}

// False: a case failed; what others found is in `figures`.
bool Measure(const Options& options, const Programs& programs,
             Figures& figures) {
  char stamp_file[] = "/tmp/fsb-stampXXXXXX";
  const int fd = ::mkstemp(stamp_file);
  if (fd >= 0) ::close(fd);
  ::setenv(kStampVariable, stamp_file, 1);
  CaseContext context;
  context.programs = programs;
  context.quick = options.quick;
  if (!options.quick) context.patience = options.patience;
  context.skip = [&figures](std::string what) {
    std::printf("%s\n\n", what.c_str());
    figures.skipped.push_back(std::move(what));
  };
  context.stamp = MapStamp();
  bool good = context.stamp != nullptr;
  if (!good)
    Complain("", SystemError("mmap(" + std::string(stamp_file) + ")", errno));
  figures.machine = DescribeMachine();
  figures.versions = DescribeVersions();
  if (good) PrintHeader(figures.machine, figures.versions);
  for (const Case& one : kCases) {
    if (context.stamp == nullptr || !options.Wants(one.name)) continue;
    auto rows = one.measure(context);
    if (!rows) {
      Complain(one.name + std::string(": "), rows.error());
      good = false;
      continue;
    }
    PrintRows(*rows);
    figures.rows.insert(figures.rows.end(), rows->begin(), rows->end());
  }
  ::unlink(stamp_file);
  return good;
}

// What `options` want of the figures of before.
void LeaveWanted(const Options& options, Figures& figures) {
  std::erase_if(figures.rows, [&options](const Row& row) {
    return !options.Wants(row.name.substr(0, row.name.find('/')));
  });
}

// 0, or the exit code that an output failed with.
int Report(const Options& options, const Figures& figures,
           const std::optional<Figures>& before) {
  int outcome = 0;
  if (!options.json.empty()) {
    if (auto written = WriteFigures(options.json, figures); !written) {
      Complain("", written.error());
      outcome = 1;
    }
  }
  if (!options.html.empty()) {
    if (auto written = WritePage(options.html, figures); !written) {
      Complain("", written.error());
      outcome = 1;
    }
  }
  if (!before) return outcome;
  auto changes = Compare(*before, figures);
  if (!changes) {
    Complain(options.compare + ": ", changes.error());
    return 2;
  }
  std::printf("Against %s of %s\n", options.compare.c_str(),
              FactOf(before->machine, "date").c_str());
  for (const std::string& doubt : Doubts(*before, figures)) {
    std::printf("  (%s)\n", doubt.c_str());
  }
  PrintChanges(*changes);
  return outcome;
}

int Main(int argc, char** argv) {
  std::vector<std::string> names;
  for (const Case& one : kCases) names.emplace_back(one.name);
  Options options;
  if (!Parse(argc, argv, names, options)) return 2;
  if (options.list) {
    for (const std::string& name : names) std::puts(name.c_str());
    return 0;
  }
  // Before minutes of measuring.
  std::optional<Figures> before;
  if (!options.compare.empty()) {
    auto read = ReadFigures(options.compare);
    if (!read) {
      Complain("--compare: ", read.error());
      return 2;
    }
    LeaveWanted(options, *read);
    if (read->rows.empty()) {
      std::fprintf(stderr, "benchmark: --compare: %s has none of these cases\n",
                   options.compare.c_str());
      return 2;
    }
    before = *std::move(read);
  }
  if (!options.from.empty()) {
    auto figures = ReadFigures(options.from);
    if (!figures) {
      Complain("--from: ", figures.error());
      return 2;
    }
    return Report(options, *figures, before);
  }
  // A helper that ended is an error of its case.
  std::signal(SIGPIPE, SIG_IGN);
  // Without its bytecode Python would compile each time what is installed
  // compiled.
  for (const char* name :
       {"FORKSERVER_DISABLE", "FORKSERVER_SOCKET", "PYTHONDONTWRITEBYTECODE"}) {
    ::unsetenv(name);
  }
  const Programs programs = FindPrograms(argv[0]);
  if (auto found = CheckPrograms(programs); !found) {
    Complain("", found.error());
    return 1;
  }
  Figures figures;
  const bool measured = Measure(options, programs, figures);
  const int outcome = Report(options, figures, before);
  return outcome == 0 && !measured ? 1 : outcome;
}

}  // namespace
}  // namespace forkserver::benchmark

int main(int argc, char** argv) {
  return forkserver::benchmark::Main(argc, argv);
}
