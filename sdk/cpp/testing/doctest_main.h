// doctest's implementation and main function for a warm test program; see
// <forkserver/testing.h>. The library doctest_main is this file, compiled with
// the doctest of the system. For another doctest, compile it yourself, in one
// file of the program, where DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN was:
//
//   #define DOCTEST_CONFIG_IMPLEMENT
//   #include "third_party/doctest.h"
//
//   #include <forkserver/doctest_main.h>
//
// With FORKSERVER_NO_MAIN defined it defines forkserver::RunTests, and no main.
// doctest 2.4.0 or later. Public header: standard library and doctest only,
// C++17 or later.
#pragma once

#ifndef DOCTEST_LIBRARY_INCLUDED
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#endif
#if !defined(DOCTEST_CONFIG_IMPLEMENT) || defined(DOCTEST_CONFIG_DISABLE)
#error "define DOCTEST_CONFIG_IMPLEMENT, and not DOCTEST_CONFIG_DISABLE"
#endif

#include <forkserver/test_host.h>
#include <forkserver/testing.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace doctest::forkserver_main {
namespace {

namespace test_host = ::forkserver::test_host;

inline const char* TextOf(const char* text) {
  return text != nullptr ? text : "";
}
inline const char* TextOf(const String& text) { return text.c_str(); }

// --- what the framework says ------------------------------------------------

// Runs without a console: what tests print is theirs alone.
class HostReporter : public IReporter {
 public:
  // The run that is under way. Of a reporter doctest makes one for each.
  static test_host::Report* report;
  static std::size_t test;

  explicit HostReporter(const ContextOptions&) {}

  void report_query(const QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const TestRunStats&) override {}
  void test_case_reenter(const TestCaseData&) override {}
  void test_case_skipped(const TestCaseData&) override {}

  void test_case_start(const TestCaseData& data) override {
    data_ = &data;
    subcases_.clear();
    report->Begun(test);
  }

  void test_case_end(const CurrentTestCaseStats& stats) override {
    using namespace TestCaseFailureReason;
    const int flags = stats.failure_flags;
    const std::string word = Explain(flags);
    const bool counts_as_pass =
        (flags & (ShouldHaveFailedAndDid | CouldHaveFailedAndDid |
                  FailedExactlyNumTimes)) != 0;
    if (flags == None || counts_as_pass) {
      report->Ended(test, test_host::Status::kPassed, word,
                    stats.numAssertsCurrentTest);
      return;
    }
    if (!word.empty()) Tell(word, TextOf(data_->m_file), data_->m_line);
    report->Ended(test, test_host::Status::kFailed, "",
                  stats.numAssertsCurrentTest);
  }

  void test_case_exception(const TestCaseException& exception) override {
    std::string text = exception.is_crash ? "test case CRASHED: "
                                          : "test case THREW exception: ";
    text += exception.error_string.c_str();
    const String* logged = get_stringified_contexts();
    for (int i = get_num_stringified_contexts(); i > 0; --i) {
      text += std::string("\n  logged: ") + logged[i - 1].c_str();
    }
    Tell(text, TextOf(data_->m_file), data_->m_line);
  }

  void subcase_start(const SubcaseSignature& subcase) override {
    subcases_.emplace_back(TextOf(subcase.m_name));
  }
  void subcase_end() override {
    if (!subcases_.empty()) subcases_.pop_back();
  }

  void log_assert(const AssertData& data) override {
    if (!data.m_failed || (data.m_at & assertType::is_warn) != 0) return;
    std::ostringstream text;
    fulltext_log_assert_to_stream(text, data);
    AppendLogged(text);
    Tell(text.str(), TextOf(data.m_file), data.m_line);
  }

  void log_message(const MessageData& data) override {
    if ((data.m_severity & assertType::is_warn) != 0) return;
    std::ostringstream text;
    text << TextOf(data.m_string);
    AppendLogged(text);
    Tell(text.str(), TextOf(data.m_file), data.m_line);
  }

 private:
  static void AppendLogged(std::ostringstream& text) {
    const IContextScope* const* contexts = get_active_contexts();
    for (int i = 0; i < get_num_active_contexts(); ++i) {
      text << "\n  logged: ";
      contexts[i]->stringify(&text);
    }
  }

  // Why doctest counts it as it does, in doctest's words.
  std::string Explain(int flags) const {
    using namespace TestCaseFailureReason;
    std::ostringstream text;
    if ((flags & Timeout) != 0) {
      text << "Test case exceeded time limit of " << data_->m_timeout << " s. ";
    }
    if ((flags & ShouldHaveFailedButDidnt) != 0) {
      text << "Should have failed but didn't! Marking it as failed!";
    } else if ((flags & ShouldHaveFailedAndDid) != 0) {
      text << "Failed as expected so marking it as not failed";
    } else if ((flags & CouldHaveFailedAndDid) != 0) {
      text << "Allowed to fail so marking it as not failed";
    } else if ((flags & DidntFailExactlyNumTimes) != 0) {
      text << "Didn't fail exactly " << data_->m_expected_failures
           << " times so marking it as failed!";
    } else if ((flags & FailedExactlyNumTimes) != 0) {
      text << "Failed exactly " << data_->m_expected_failures
           << " times as expected so marking it as not failed!";
    }
    if ((flags & TooManyFailedAsserts) != 0) {
      text << "Aborting - too many failed asserts!";
    }
    return text.str();
  }

  void Tell(std::string message, const char* file, long line) const {
    while (!message.empty() && message.back() == '\n') message.pop_back();
    std::string where;
    for (const std::string& subcase : subcases_) {
      if (!where.empty()) where += " > ";
      where += subcase;
    }
    report->Failed({std::move(message), file, line, std::move(where)});
  }

  const TestCaseData* data_ = nullptr;
  std::vector<std::string> subcases_;
};
test_host::Report* HostReporter::report = nullptr;
std::size_t HostReporter::test = 0;

// By hand: the warm-ups when the first test is about to run, and not for a
// listing or `--help`.
class WarmUpListener : public IReporter {
 public:
  explicit WarmUpListener(const ContextOptions&) {}
  void report_query(const QueryData&) override {}
  void test_run_start() override {
    if (test_host::RunWarmUps()) return;
    std::fflush(nullptr);
    std::_Exit(EXIT_FAILURE);
  }
  void test_run_end(const TestRunStats&) override {}
  void test_case_start(const TestCaseData&) override {}
  void test_case_reenter(const TestCaseData&) override {}
  void test_case_end(const CurrentTestCaseStats&) override {}
  void test_case_exception(const TestCaseException&) override {}
  void subcase_start(const SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const AssertData&) override {}
  void log_message(const MessageData&) override {}
  void test_case_skipped(const TestCaseData&) override {}
};

// --- the framework ----------------------------------------------------------

class HostedDoctest : public test_host::Framework {
 public:
  const char* marker() const override {
    return "@forkserver test program, version 1: doctest@";
  }
  const char* name() const override { return "doctest"; }
  std::string version() const override { return DOCTEST_VERSION_STR; }

  int RunByHand(int argc, char** argv) override {
    if (test_host::HasWarmUps()) {
      registerReporter<WarmUpListener>("forkserver_warm_ups", 0, false);
    }
    return Context(argc, argv).run();
  }

  void Start(int argc, char** argv) override {
    for (int i = 0; i < argc; ++i) {
      if (i == 0 || !IsForWholeRun(argv[i])) arguments_.emplace_back(argv[i]);
    }
    registerReporter<HostReporter>(kReporter, 0, true);
    std::vector<std::string> arguments = arguments_;
    arguments.push_back(Option("reporters=") + kReporter);
    arguments.push_back(Option("no-breaks"));
    arguments.push_back(Option("no-colors"));
    const std::vector<const char*> words = PointersTo(arguments);
    context_ =
        std::make_unique<Context>(static_cast<int>(words.size()), words.data());
  }

  // In doctest's own order.
  std::vector<test_host::Test> List() override {
    std::vector<test_host::Test> listed;
    cases_.clear();
    for (const detail::TestCase& each : detail::getRegisteredTests()) {
      cases_.push_back(&each);
    }
    std::sort(cases_.begin(), cases_.end(), fileOrderComparator);
    for (const detail::TestCase* each : cases_) {
      test_host::Test test;
      test.name = TextOf(each->m_name);
      test.suite = TextOf(each->m_test_suite);
      test.file = TextOf(each->m_file);
      test.line = each->m_line;
      if (!test.suite.empty()) test.tags.push_back(test.suite);
      if (each->m_skip) test.skip = kSkipped;
      listed.push_back(std::move(test));
    }
    return listed;
  }

  void RunThem(const test_host::Run& run, test_host::Report& report) override {
    // Left alone until the process ends: it takes as long as there are tests.
    auto* const all = new std::set<detail::TestCase>();
    all->swap(detail::getRegisteredTests());
    HostReporter::report = &report;
    for (const std::size_t test : run.tests) RunOne(run, test, report);
  }

 private:
  static constexpr char kReporter[] = "forkserver";
  static constexpr char kSkipped[] = "doctest::skip()";

  static void (*body)();

  // doctest's handlers of signals allocate memory, which hangs or crashes
  // again where the heap is broken. Without them forkserverd says where a test
  // crashed.
  static void RunBody() {
#ifdef DOCTEST_CONFIG_POSIX_SIGNALS
    FatalConditionHandler::reset();
#endif
    body();
  }

  // doctest runs all tests that are registered: this one.
  void RunOne(const test_host::Run& run, std::size_t test,
              test_host::Report& report) const {
    std::set<detail::TestCase>& registered = detail::getRegisteredTests();
    registered.clear();
    detail::TestCase only(*cases_[test]);
    body = only.m_test;
    if (!run.debug) only.m_test = RunBody;
    registered.insert(only);
    HostReporter::test = test;

    std::vector<std::string> arguments = {arguments_.front()};
    for (const std::string& each : run.arguments) {
      if (!IsForWholeRun(each.c_str())) arguments.push_back(each);
    }
    if (only.m_skip && !RunsSkipped(arguments_) && !RunsSkipped(arguments)) {
      report.Begun(test);
      report.Ended(test, test_host::Status::kSkipped, kSkipped, 0);
      return;
    }
    if (run.seed != 0) {
      arguments.push_back(
          Option("rand-seed=" + std::to_string(run.seed & 0x7fffffff)));
    }
    if (run.debug) {
      arguments.insert(arguments.begin() + 1, arguments_.begin() + 1,
                       arguments_.end());
      arguments.push_back(Option("reporters=console,") + kReporter);
      const std::vector<const char*> words = PointersTo(arguments);
      Context(static_cast<int>(words.size()), words.data()).run();
      return;
    }
    if (arguments.size() > 1) {
      const std::vector<const char*> words = PointersTo(arguments);
      context_->applyCommandLine(static_cast<int>(words.size()), words.data());
    }
    context_->run();
  }

  static std::string Option(const std::string& option) {
    return "--" DOCTEST_CONFIG_OPTIONS_PREFIX + option;
  }

  static std::vector<const char*> PointersTo(
      const std::vector<std::string>& arguments) {
    std::vector<const char*> words;
    words.reserve(arguments.size());
    for (const std::string& each : arguments) words.push_back(each.c_str());
    return words;
  }

  static bool RunsSkipped(const std::vector<std::string>& arguments) {
    for (const std::string& each : arguments) {
      if (Matches(each.c_str(), {"no-skip", "ns"})) return true;
    }
    return false;
  }

  // `--name`, `--name=...`, or with doctest's prefix.
  static bool Matches(const char* argument,
                      std::initializer_list<const char*> names) {
    if (*argument != '-') return false;
    while (*argument == '-') ++argument;
    constexpr std::size_t kPrefix = sizeof(DOCTEST_CONFIG_OPTIONS_PREFIX) - 1;
    if (std::strncmp(argument, DOCTEST_CONFIG_OPTIONS_PREFIX, kPrefix) == 0) {
      argument += kPrefix;
    }
    const std::size_t length = std::strcspn(argument, "=");
    for (const char* name : names) {
      if (std::strlen(name) == length &&
          std::strncmp(argument, name, length) == 0) {
        return true;
      }
    }
    return false;
  }

  // What selects tests, or says what becomes of all of them.
  static bool IsForWholeRun(const char* argument) {
    return Matches(argument, {"source-file",
                              "sf",
                              "source-file-exclude",
                              "sfe",
                              "test-suite",
                              "ts",
                              "test-suite-exclude",
                              "tse",
                              "test-case",
                              "tc",
                              "test-case-exclude",
                              "tce",
                              "reporters",
                              "r",
                              "out",
                              "o",
                              "order-by",
                              "ob",
                              "first",
                              "f",
                              "last",
                              "l",
                              "exit",
                              "e",
                              "minimal",
                              "m",
                              "quiet",
                              "q",
                              "no-exitcode",
                              "ne",
                              "no-run",
                              "nr",
                              "help",
                              "h",
                              "?",
                              "version",
                              "v",
                              "count",
                              "c",
                              "list-test-cases",
                              "ltc",
                              "list-test-suites",
                              "lts",
                              "list-reporters",
                              "lr"});
  }

  std::vector<std::string> arguments_;
  // Of tests that are not debugged. It takes doctest a while to read arguments:
  // not in each worker.
  std::unique_ptr<Context> context_;
  std::vector<const detail::TestCase*> cases_;
};
void (*HostedDoctest::body)() = nullptr;

}  // namespace
}  // namespace doctest::forkserver_main

namespace forkserver {

int RunTests(int argc, char** argv) {
  doctest::forkserver_main::HostedDoctest framework;
  return test_host::Main(argc, argv, framework);
}

}  // namespace forkserver

#ifndef FORKSERVER_NO_MAIN
int main(int argc, char** argv) { return forkserver::RunTests(argc, argv); }
#endif
