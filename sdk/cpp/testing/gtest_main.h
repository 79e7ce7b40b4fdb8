// GoogleTest's main function for a warm test program; see
// <forkserver/testing.h>. The library gtest_main is this file, compiled with
// the GoogleTest of the system. For another one, include it in one file of the
// program, in place of a main function:
//
//   #include <gtest/gtest.h>
//
//   #include <forkserver/gtest_main.h>
//
// With FORKSERVER_NO_MAIN defined it defines forkserver::RunTests, and no main.
// GoogleMock is initialised too where the program has it. GoogleTest 1.10 or
// later. Public header: standard library and GoogleTest only, C++17 or later.
//
// In a worker the global Environments, SetUpTestSuite and TearDownTestSuite run
// around the test as they do when the program runs that test alone: what is
// slow, and survives a fork, belongs into a warm-up. What UnitTest tells of the
// program's suites has, in a worker, the tests of this worker only.
#pragma once

#include <forkserver/test_host.h>
#include <forkserver/testing.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace testing {
// In a program that has GoogleMock, its own.
#ifdef __ELF__
[[gnu::weak]] void InitGoogleMock(int* argc, char** argv);
#endif
namespace internal {
void ParseGoogleTestFlagsOnly(int* argc, char** argv);
}  // namespace internal
}  // namespace testing

namespace forkserver::gtest_main {
namespace {

using ::testing::TestInfo;
using ::testing::TestPartResult;
using ::testing::TestSuite;
using ::testing::UnitTest;

// GoogleTest looks at every test of the program when it runs one: too long a
// time where there are thousands. So the lists that it goes through are made
// short. An explicit instantiation may name private members.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wnon-template-friend"
#endif
template <typename Tag, typename Tag::Member kMember>
struct Reveal {
  friend typename Tag::Member MemberOf(Tag) { return kMember; }
};
struct InfoList {
  using Member = std::vector<TestInfo*> TestSuite::*;
  friend Member MemberOf(InfoList);
};
struct Indices {
  using Member = std::vector<int> TestSuite::*;
  friend Member MemberOf(Indices);
};
template struct Reveal<InfoList, &TestSuite::test_info_list_>;
template struct Reveal<Indices, &TestSuite::test_indices_>;
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#ifdef GTEST_FLAG_SET
#define FORKSERVER_SET_FLAG(name, value) GTEST_FLAG_SET(name, value)
#define FORKSERVER_GET_FLAG(name) GTEST_FLAG_GET(name)
#else
#define FORKSERVER_SET_FLAG(name, value) \
  (void)(::testing::GTEST_FLAG(name) = value)
#define FORKSERVER_GET_FLAG(name) ::testing::GTEST_FLAG(name)
#endif

// The flags that are for a program as a whole, however they were set.
inline void ResetFlagsOfWholeRuns() {
  FORKSERVER_SET_FLAG(filter, "*");
  FORKSERVER_SET_FLAG(list_tests, false);
  FORKSERVER_SET_FLAG(output, "");
  FORKSERVER_SET_FLAG(repeat, 1);
  FORKSERVER_SET_FLAG(shuffle, false);
  FORKSERVER_SET_FLAG(stream_result_to, "");
  FORKSERVER_SET_FLAG(throw_on_failure, false);
#ifdef GTEST_FLAG_SET
  FORKSERVER_SET_FLAG(fail_fast, false);
#endif
}

inline bool IsDisabled(const std::string& name) {
  return name.compare(0, 9, "DISABLED_") == 0 ||
         name.find("/DISABLED_") != std::string::npos;
}

// --- what the framework says ------------------------------------------------

class HostListener : public ::testing::EmptyTestEventListener {
 public:
  struct Expected {
    const TestInfo* info;
    std::size_t test;
    bool ended;
  };

  explicit HostListener(test_host::Report& report) : report_(report) {}

  // Before RUN_ALL_TESTS for these tests of one suite.
  void Expect(std::vector<Expected> tests) {
    tests_ = std::move(tests);
    failed_outside_ = false;
    skipped_outside_ = false;
    skip_outside_.clear();
    has_pending_ = false;
  }

  void OnTestStart(const TestInfo& info) override {
    FlushPending();
    const auto found =
        std::find_if(tests_.begin(), tests_.end(), [&](const Expected& each) {
          return each.info == &info && !each.ended;
        });
    if (found == tests_.end()) return;
    running_ = &*found;
    skip_.clear();
    report_.Begun(found->test);
  }

  void OnTestPartResult(const TestPartResult& result) override {
    const char* file = result.file_name();
    if (result.failed()) {
      report_.Failed({result.message(), file != nullptr ? file : "",
                      result.line_number() > 0 ? result.line_number() : 0,
                      Where()});
      if (running_ == nullptr) failed_outside_ = true;
    } else if (result.type() == TestPartResult::kSkip) {
      std::string& skip = running_ != nullptr ? skip_ : skip_outside_;
      if (skip.empty()) skip = Trimmed(result.message());
      if (running_ == nullptr) skipped_outside_ = true;
    }
  }

  // Told when the next one begins or all is over: until then its suite may
  // still fail.
  void OnTestEnd(const TestInfo& info) override {
    if (running_ == nullptr || running_->info != &info) return;
    pending_ = running_->test;
    has_pending_ = true;
    // Not by what it was told: a test may take a failure back.
    pending_failed_ = info.result()->Failed();
    pending_skipped_ = info.result()->Skipped();
    running_->ended = true;
    running_ = nullptr;
  }

  // After RUN_ALL_TESTS: what is not told yet, and tests that did not begin.
  // Why one did not may be unknown: then nothing is said of it.
  void Settle() {
    FlushPending();
    for (const auto& [info, test, ended] : tests_) {
      if (ended) continue;
      const bool disabled =
          IsDisabled(info->test_suite_name()) || IsDisabled(info->name());
      if (failed_outside_) {
        report_.Begun(test);
        report_.Ended(test, test_host::Status::kFailed, "", 0);
      } else if (disabled || skipped_outside_) {
        report_.Begun(test);
        report_.Ended(test, test_host::Status::kSkipped,
                      disabled ? "DISABLED_" : skip_outside_, 0);
      }
    }
    tests_.clear();
  }

 private:
  static std::string Trimmed(const char* text) {
    std::string trimmed = text != nullptr ? text : "";
    while (!trimmed.empty() && trimmed.back() == '\n') trimmed.pop_back();
    // What GTEST_SKIP() without a message has before nothing.
    if (trimmed == "Skipped") trimmed.clear();
    if (trimmed.compare(0, 8, "Skipped\n") == 0) trimmed.erase(0, 8);
    return trimmed;
  }

  std::string Where() const {
    if (running_ == nullptr) return "outside of the test";
    std::string where;
    const TestInfo& info = *running_->info;
    if (info.type_param() != nullptr) {
      where = std::string("TypeParam = ") + info.type_param();
    }
    if (info.value_param() != nullptr) {
      if (!where.empty()) where += ", ";
      where += std::string("GetParam() = ") + info.value_param();
    }
    return where;
  }

  void FlushPending() {
    if (!has_pending_) return;
    has_pending_ = false;
    if (pending_failed_ || failed_outside_) {
      report_.Ended(pending_, test_host::Status::kFailed, "", 0);
    } else if (pending_skipped_) {
      report_.Ended(pending_, test_host::Status::kSkipped, skip_, 0);
    } else {
      report_.Ended(pending_, test_host::Status::kPassed, "", 0);
    }
  }

  test_host::Report& report_;
  std::vector<Expected> tests_;
  Expected* running_ = nullptr;
  std::string skip_;
  bool failed_outside_ = false;  // in SetUpTestSuite, in an Environment
  bool skipped_outside_ = false;
  std::string skip_outside_;
  std::size_t pending_ = 0;
  bool has_pending_ = false;
  bool pending_failed_ = false;
  bool pending_skipped_ = false;
};

// By hand: the warm-ups when tests are about to run, and not for a listing or
// `--help`.
class WarmUpListener : public ::testing::EmptyTestEventListener {
 public:
  void OnTestProgramStart(const UnitTest&) override { Run(); }
  static void Run() {
    if (test_host::RunWarmUps()) return;
    std::fflush(nullptr);
    std::_Exit(EXIT_FAILURE);
  }
};

// --- the framework ----------------------------------------------------------

class HostedGoogleTest : public test_host::Framework {
 public:
  const char* marker() const override {
    return "@forkserver test program, version 1: gtest@";
  }
  const char* name() const override { return "gtest"; }
  // GoogleTest does not know its own.
  std::string version() const override { return ""; }

  int RunByHand(int argc, char** argv) override {
    Init(argc, argv);
    if (test_host::HasWarmUps()) {
      ::testing::TestEventListeners& listeners =
          UnitTest::GetInstance()->listeners();
      listeners.Append(new WarmUpListener);
#ifdef GTEST_HAS_DEATH_TEST
      // The program of a death test, which no listener is told of.
      if (!FORKSERVER_GET_FLAG(internal_run_death_test).empty()) {
        WarmUpListener::Run();
      }
#endif
    }
    return RUN_ALL_TESTS();
  }

  void Start(int argc, char** argv) override {
    ResetFlagsOfWholeRuns();
    Init(argc, argv);
    ResetFlagsOfWholeRuns();
  }

  std::vector<test_host::Test> List() override {
    if (tests_.empty()) TakeTests();
    std::vector<test_host::Test> listed;
    listed.reserve(tests_.size());
    for (const Entry& each : tests_) {
      listed.push_back(Describe(*each.suite, *each.info));
    }
    return listed;
  }

  void RunThem(const test_host::Run& run, test_host::Report& report) override {
    Prepare(run);
    auto* const listener = new HostListener(report);  // GoogleTest's
    UnitTest::GetInstance()->listeners().Append(listener);
    // Tests of a suite that follow each other share its set-up.
    for (std::size_t i = 0; i < run.tests.size();) {
      TestSuite* const suite = tests_[run.tests[i]].suite;
      auto& infos = suite->*MemberOf(InfoList());
      auto& indices = suite->*MemberOf(Indices());
      std::vector<HostListener::Expected> expected;
      for (; i < run.tests.size() && tests_[run.tests[i]].suite == suite; ++i) {
        TestInfo* const info = tests_[run.tests[i]].info;
        // The same one again is another run.
        if (std::find(infos.begin(), infos.end(), info) != infos.end()) break;
        expected.push_back({info, run.tests[i], false});
        indices.push_back(static_cast<int>(infos.size()));
        infos.push_back(info);
      }
      listener->Expect(std::move(expected));
      // Its verdict is about more than these tests.
      [[maybe_unused]] const int code = RUN_ALL_TESTS();
      listener->Settle();
      infos.clear();
      indices.clear();
    }
  }

 private:
  struct Entry {
    TestSuite* suite;
    TestInfo* info;
  };

  // Out of GoogleTest's lists. What is freed here is copied by no fork, and
  // what is written here by no worker.
  void TakeTests() {
    const UnitTest& program = *UnitTest::GetInstance();
    for (int i = 0; i < program.total_test_suite_count(); ++i) {
      auto* const suite = const_cast<TestSuite*>(program.GetTestSuite(i));
      for (TestInfo* info : std::exchange(suite->*MemberOf(InfoList()), {})) {
        tests_.push_back({suite, info});
      }
      suite->*MemberOf(Indices()) = std::vector<int>();
    }
    tests_.shrink_to_fit();
    ::testing::TestEventListeners& listeners =
        UnitTest::GetInstance()->listeners();
    printer_ = listeners.Release(listeners.default_result_printer());
  }

  static void Init(int argc, char** argv) {
#ifdef __ELF__
    if (::testing::InitGoogleMock != nullptr) {
      ::testing::InitGoogleMock(&argc, argv);
      return;
    }
#endif
    ::testing::InitGoogleTest(&argc, argv);
  }

  static void ParseFlags(std::vector<std::string> words) {
    words.insert(words.begin(), "program");
    std::vector<char*> argv;
    argv.reserve(words.size() + 1);
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    int argc = static_cast<int>(words.size());
    ::testing::internal::ParseGoogleTestFlagsOnly(&argc, argv.data());
    ResetFlagsOfWholeRuns();
  }

  void Prepare(const test_host::Run& run) const {
    if (!run.arguments.empty()) ParseFlags(run.arguments);
    if (run.seed != 0) {
      FORKSERVER_SET_FLAG(random_seed, static_cast<int>(run.seed % 99999));
    }
    if (run.debug) {
      FORKSERVER_SET_FLAG(catch_exceptions, false);
      if (printer_ != nullptr) {
        UnitTest::GetInstance()->listeners().Append(printer_);
      }
      return;
    }
    FORKSERVER_SET_FLAG(break_on_failure, false);
  }

  static test_host::Test Describe(const TestSuite& suite,
                                  const TestInfo& info) {
    test_host::Test test;
    test.suite = suite.name();
    test.name = test.suite + "." + info.name();
    test.file = info.file() != nullptr ? info.file() : "";
    test.line = info.line() > 0 ? info.line() : 0;
    if ((IsDisabled(test.suite) || IsDisabled(info.name())) &&
        !FORKSERVER_GET_FLAG(also_run_disabled_tests)) {
      test.skip = "DISABLED_";
    }
    return test;
  }

  std::vector<Entry> tests_;
  // GoogleTest's own, for a person: what tests print is theirs alone.
  ::testing::TestEventListener* printer_ = nullptr;
};

}  // namespace
}  // namespace forkserver::gtest_main

namespace forkserver {

int RunTests(int argc, char** argv) {
  gtest_main::HostedGoogleTest framework;
  return test_host::Main(argc, argv, framework);
}

}  // namespace forkserver

#ifndef FORKSERVER_NO_MAIN
int main(int argc, char** argv) { return forkserver::RunTests(argc, argv); }
#endif
