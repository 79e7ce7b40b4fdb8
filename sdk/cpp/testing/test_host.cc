#include <forkserver/test_host.h>
#include <forkserver/testing.h>
#include <forkserver/zygote.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sdk/cpp/testing/coverage.h"
#include "sdk/cpp/testing/page_reporter.h"
#include "sdk/cpp/testing/program_state.h"
#include "sdk/cpp/testing/unique_names.h"
#include "sdk/cpp/testing/warm_ups.h"
#include "sdk/cpp/testing/whole_run_variables.h"
#include "sdk/process/platform.h"
#include "sdk/protocol/codec.h"

namespace forkserver::test_host {
namespace {

constexpr int kTestFailed = 1;
constexpr int kCannotRun = 125;

// The last preload step, so that it sees the tests that a warm-up registered.
constexpr char kIndexStep[] = "forkserver.test_index";

void RemoveVariablesOfWholeRuns() {
  std::vector<std::string> names;
  for (char** each = OwnEnvironment(); *each != nullptr; ++each) {
    const std::string_view variable(*each);
    if (IsForWholeRun(variable)) {
      names.emplace_back(variable.substr(0, variable.find('=')));
    }
  }
  for (const std::string& name : names) ::unsetenv(name.c_str());
}

// The tests of the program, as a zygote and in its workers. Only names are
// kept: each fork copies the page tables of all that is.
class Tests {
 public:
  explicit Tests(Framework& framework) : framework_(framework) {}

  void Index() {
    std::vector<PlacedName> names;
    for (Test& test : framework_.List()) {
      names.push_back(
          {std::move(test.name), test.file + ":" + std::to_string(test.line)});
    }
    names_ = UniqueNames(names);
    by_name_.resize(names_.size());
    std::iota(by_name_.begin(), by_name_.end(), 0);
    std::sort(by_name_.begin(), by_name_.end(),
              [this](auto a, auto b) { return names_[a] < names_[b]; });
    indexed_ = true;
  }

  int List(WorkerContext& context) {
    IndexIfNeeded();
    protocol::TestList list;
    list.framework = framework_.name();
    list.framework_version = framework_.version();
    list.tests.reserve(names_.size());
    for (Test& test : framework_.List()) {
      list.tests.push_back({names_[list.tests.size()], std::move(test.suite),
                            std::move(test.file), test.line,
                            std::move(test.tags), std::move(test.skip)});
    }
    context.SetResult(protocol::EncodeBody(list));
    return 0;
  }

  int RunSome(WorkerContext& context) {
    IndexIfNeeded();
    auto request = protocol::DecodeBody<protocol::TestRun>(context.args());
    if (!request) return Refuse(request.error().ToString());
    Run run;
    run.seed = request->seed;
    run.debug = request->debug;
    run.arguments = std::move(request->arguments);
    for (const std::string& name : request->tests) {
      const auto found =
          std::lower_bound(by_name_.begin(), by_name_.end(), name,
                           [this](auto each, const auto& wanted) {
                             return names_[each] < wanted;
                           });
      if (found == by_name_.end() || names_[*found] != name) {
        return Refuse("the program has no test '" + name + "'");
      }
      run.tests.push_back(*found);
    }
    auto reporter =
        PageReporter::Open(static_cast<int>(request->report_fd), names_);
    if (!reporter) return Refuse(reporter.error().ToString());
    if (run.debug && std::getenv("FORKSERVER_TEST_STOP") != nullptr) {
      StopForDebugger();
    }
    program_state::Restore();
    RemoveVariablesOfWholeRuns();
    framework_.RunThem(run, **reporter);
    (*reporter)->Complete();
    WriteCoverage();
    return (*reporter)->any_failed() ? kTestFailed : 0;
  }

 private:
  // The step may not have been asked for.
  void IndexIfNeeded() {
    if (!indexed_) Index();
  }

  static int Refuse(const std::string& why) {
    std::fprintf(stderr, "forkserver: the test cannot be run: %s\n",
                 why.c_str());
    return kCannotRun;
  }

  Framework& framework_;
  std::vector<std::string> names_;
  std::vector<std::uint32_t> by_name_;  // into names_, sorted
  bool indexed_ = false;
};

int ServeTests(Zygote& zygote, int argc, char** argv, Framework& framework) {
  RemoveVariablesOfWholeRuns();
  framework.Start(argc, argv);
  Tests tests(framework);
  for (const WarmUp& warm_up : WarmUps()) {
    zygote.AddPreload(warm_up.name, [&warm_up]() -> Result<void> {
      warm_up.run();
      return {};
    });
  }
  zygote.AddPreload(kIndexStep, [&tests]() -> Result<void> {
    tests.Index();
    return {};
  });
  zygote.AddEntry("forkserver.test_list", [&tests](WorkerContext& context) {
    return tests.List(context);
  });
  zygote.AddEntry("forkserver.test_run", [&tests](WorkerContext& context) {
    return tests.RunSome(context);
  });
  zygote.KeepDescriptors(program_state::Remember);
  return zygote.Serve();
}

}  // namespace

int Main(int argc, char** argv, Framework& framework) {
  Zygote zygote(argc, argv);
  if (const std::string equal = EqualNameOfWarmUps(); !equal.empty()) {
    std::fprintf(stderr, "forkserver: two warm-ups are named '%s'\n",
                 equal.c_str());
    return kTestFailed;
  }
  // Kept in the program for whoever looks into it.
  const char* const volatile marker = framework.marker();
  if (zygote.started_by_daemon() && marker != nullptr) {
    return ServeTests(zygote, argc, argv, framework);
  }
  return framework.RunByHand(argc, argv);
}

}  // namespace forkserver::test_host
