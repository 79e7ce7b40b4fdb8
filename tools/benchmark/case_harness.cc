// `forkserver test` against one run of the whole program, which isolates
// nothing, and against one exec per test.

#include <chrono>
#include <cstdint>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "tools/benchmark/cases.h"
#include "tools/benchmark/command.h"
#include "tools/benchmark/many_tests.h"
#include "tools/benchmark/measure.h"

namespace forkserver::benchmark {
namespace {

constexpr int kRounds = 10;
// Of those that pay for the set-up again in each test: they take minutes for
// all.
constexpr int kSample = 40;
constexpr char kSlots[] = "2";
// While one test is being started another can run.
constexpr char kOneSlotMore[] = "3";

// One of the frameworks.
struct Framework {
  std::string program;
  std::string one_test;  // the flag, before the number
};

using Values = Result<std::vector<double>>;

double PerTest(std::int64_t ns, int tests) {
  return ToMicroseconds(ns) / tests;
}

Result<std::int64_t> TimeOf(const Command& command, const std::string& output) {
  const std::int64_t begun_ns = NowNs();
  if (auto done = RunToEnd(command, output); !done) return done.error();
  return NowNs() - begun_ns;
}

// All in turn, and the differences.
Contender Isolated(const Command& once, const Command& isolated,
                   const Command& one_slot_more, const std::string& output) {
  Contender contender;
  contender.series = {"unisolated", "forkserver", "forkserver - unisolated",
                      "forkserver -j 3", "forkserver -j 3 - unisolated"};
  contender.warm_up = false;
  contender.run = [=](std::chrono::microseconds) -> Values {
    auto first = TimeOf(once, output);
    if (!first) return first.error();
    auto second = TimeOf(isolated, output);
    if (!second) return second.error();
    auto third = TimeOf(one_slot_more, output);
    if (!third) return third.error();
    return std::vector<double>{
        PerTest(*first, kManyTests), PerTest(*second, kManyTests),
        PerTest(*second - *first, kManyTests), PerTest(*third, kManyTests),
        PerTest(*third - *first, kManyTests)};
  };
  return contender;
}

Contender Sampled(std::string name, const Command& command,
                  const std::string& output) {
  Contender contender;
  contender.series = {std::move(name)};
  contender.role = Role::kPeer;
  contender.warm_up = false;
  contender.run = [=](std::chrono::microseconds) -> Values {
    auto taken = TimeOf(command, output);
    if (!taken) return taken.error();
    return std::vector<double>{PerTest(*taken, kSample)};
  };
  return contender;
}

// What `ctest` reads: each test is a run of the program.
Result<void> WriteCtestFile(const Framework& framework,
                            const std::string& folder) {
  std::ofstream file(folder + "/CTestTestfile.cmake");
  for (int i = 0; i < kSample; ++i) {
    file << "add_test(t" << i << " \"" << framework.program << "\" \""
         << framework.one_test << i << "\")\n";
  }
  file.close();
  if (file) return {};
  return MakeError(error_code::kSystem,
                   "CTestTestfile.cmake cannot be written in " + folder);
}

Rows Measure(const CaseContext& context, const std::string& group,
             const Framework& framework) {
  auto daemon = PrivateDaemon::Start(context.programs);  // for its folder
  if (!daemon) return daemon.error();
  const std::string& folder = daemon->folder();
  const std::string output = folder + "/output";
  if (auto written = WriteCtestFile(framework, folder); !written) {
    return written.error();
  }
  const Command once = {{framework.program}};
  const Command isolated = {
      {context.programs.forkserver, "test", "-j", kSlots, framework.program},
      {// Not what a test of Bazel would be told.
       "TEST_TARGET=", "FORKSERVER_SOCKET=" + folder + "/none",
       "XDG_CACHE_HOME=" + folder,
       "FORKSERVER_BIN=" + context.programs.forkserverd.substr(
                               0, context.programs.forkserverd.rfind('/'))},
      folder};
  Command one_slot_more = isolated;
  one_slot_more.argv[3] = kOneSlotMore;
  const std::string numbers = "seq 0 " + std::to_string(kSample - 1);
  const Command exec = {{"/bin/sh", "-c",
                         numbers + " | xargs -P " + kSlots + " -I '{}' '" +
                             framework.program + "' '" + framework.one_test +
                             "{}'"}};
  const Command ctest = {{"ctest", "-j", kSlots, "-Q"}, {}, folder};
  std::vector<Contender> contenders = {
      Isolated(once, isolated, one_slot_more, output),
      Sampled("exec per test", exec, output)};
  const bool has_ctest = RunToEnd({{"ctest", "--version"}}, output).has_value();
  if (has_ctest) contenders.push_back(Sampled("ctest -j", ctest, output));
  Pace pace = context.PaceOf(kRounds, kNoIdle);
  if (context.quick) pace.rounds = 1;
  auto measured = Interleave(contenders, pace);
  if (!measured) return measured.error();
  measured->front().role = Role::kLimit;  // "unisolated"
  std::vector<Comparison> comparisons = {
      {"forkserver", "unisolated", {}},
      {"forkserver - unisolated", "", {}},
      {"forkserver -j 3", "unisolated", {}},
      {"forkserver -j 3 - unisolated", "", {}},
      {"exec per test", "forkserver", Aim{20, /*at_least=*/true}}};
  if (has_ctest) {
    comparisons.push_back({"ctest -j", "forkserver", Aim{20, true}});
  }
  return MakeRows(group, *measured, comparisons);
}

}  // namespace

Rows MeasureHarnessDoctest(const CaseContext& context) {
  return Measure(context, "harness_doctest",
                 {context.programs.many_doctests, "--test-case=case "});
}

Rows MeasureHarnessGtest(const CaseContext& context) {
  return Measure(context, "harness_gtest",
                 {context.programs.many_gtests, "--gtest_filter=Many.Case"});
}

}  // namespace forkserver::benchmark
