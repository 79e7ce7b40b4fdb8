// What a test program, a zygote of forkserver's test mains or of its Python
// package, and the test harness tell each other. They travel as the arguments
// and results of entries and on the report page; the daemon never reads them.
//
// Entries: "forkserver.test_list" has no arguments, its result is a TestList.
// "forkserver.test_run" has a TestRun as arguments, and tells TestProgress on
// the report page while it runs; its exit code is 0 if every test passed or
// was skipped, 1 if one failed. Zygotes of Python have two more:
// "forkserver.test_files", whose result is TestFiles, and, of pytest,
// "forkserver.test_plan", which is given a TestRun and answers a TestPlan.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace forkserver::protocol {

// A test as its framework names it.
struct ListedTest {
  std::string name;               // the framework's own; unique in the program
  std::string suite;              // what it calls suite, fixture or class
  std::string file;               // where it is written; may be empty
  std::int64_t line = 0;          // 0: unknown
  std::vector<std::string> tags;  // tags, markers; of doctest the suite
  std::string skip;  // why the framework would not run it by default, or empty

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("name", self.name);
    visit.Optional("suite", self.suite);
    visit.Optional("file", self.file);
    visit.Optional("line", self.line);
    visit.Optional("tags", self.tags);
    visit.Optional("skip", self.skip);
  }
};

struct TestList {
  static constexpr char kType[] = "test_list";
  // It is no frame, and large programs have more tests than kMaxArray.
  static constexpr std::size_t kMaxElements = 1u << 20;
  std::string framework;  // doctest gtest unittest pytest
  std::string framework_version;
  std::vector<ListedTest> tests;
  // What could not be loaded, as text for a person; each is a failure of the
  // run even though it has no test.
  std::vector<std::string> errors;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("framework", self.framework);
    visit.Required("framework_version", self.framework_version);
    visit.Required("tests", self.tests);
    visit.Optional("errors", self.errors);
  }
};

// Run these tests, in this order, in this process.
struct TestRun {
  static constexpr char kType[] = "test_run";
  std::vector<std::string> tests;
  std::int64_t report_fd = -1;  // of the report page
  std::int64_t seed = 0;        // for the framework's own generator; 0: none
  // To be debugged: the framework does not catch what a debugger should see.
  bool debug = false;
  std::vector<std::string> arguments;  // further ones for the framework

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("tests", self.tests);
    visit.Required("report_fd", self.report_fd);
    visit.Optional("seed", self.seed);
    visit.Optional("debug", self.debug);
    visit.Optional("arguments", self.arguments);
  }
};

// Something that a test found wrong.
struct TestFailure {
  std::string message;  // "CHECK( 1 == 2 ) is NOT correct!", may be many lines
  std::string file;
  std::int64_t line = 0;
  std::string where;  // the subcase, sub-test, parameter: for a person

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("message", self.message);
    visit.Optional("file", self.file);
    visit.Optional("line", self.line);
    visit.Optional("where", self.where);
  }
};

// One record of the report page.
//   begun     `test` is about to run
//   failure   something went wrong in it: `failures`, told at once
//   ended     the framework's word on it: `status`, and further `failures`
//   complete  the framework has returned; nothing follows
struct TestProgress {
  static constexpr char kType[] = "test_progress";
  std::string event;
  std::string test;
  std::string status;       // passed failed skipped
  std::string skip_reason;  // or why an expected failure counts as a pass
  std::int64_t wall_us = 0;
  std::int64_t assertions = 0;
  std::vector<TestFailure> failures;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("event", self.event);
    visit.Optional("test", self.test);
    visit.Optional("status", self.status);
    visit.Optional("skip_reason", self.skip_reason);
    visit.Optional("wall_us", self.wall_us);
    visit.Optional("assertions", self.assertions);
    visit.Optional("failures", self.failures);
  }
};

// A file that was read when the tests were loaded, as it was then. A size of
// -1: it has changed meanwhile, nobody can know what was read.
struct LoadedFile {
  std::string path;
  std::int64_t modified_ns = 0;
  std::int64_t changed_ns = 0;  // of the inode
  std::int64_t size = 0;
  std::int64_t inode = 0;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("path", self.path);
    visit.Required("modified_ns", self.modified_ns);
    visit.Required("changed_ns", self.changed_ns);
    visit.Required("size", self.size);
    visit.Required("inode", self.inode);
  }
};

// A folder that was looked through: folders in it, and files with one of
// TestFiles::suffixes. Without names that begin with a dot, and __pycache__.
struct LoadedFolder {
  std::string path;
  std::vector<std::string> names;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("path", self.path);
    visit.Required("names", self.names);
  }
};

// What tests were loaded from: when it is not as it was, they may be others.
struct TestFiles {
  static constexpr char kType[] = "test_files";
  static constexpr std::size_t kMaxElements = 1u << 20;
  std::vector<LoadedFile> files;
  std::vector<LoadedFolder> folders;
  std::vector<std::string> suffixes;  // with the dot; "" for none

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("files", self.files);
    visit.Required("folders", self.folders);
    visit.Required("suffixes", self.suffixes);
  }
};

// Which zygotes pytest's fixtures need beside that of the target.
struct TestPlan {
  static constexpr char kType[] = "test_plan";
  bool session = false;            // one for the fixtures of the session
  std::vector<std::string> files;  // node ids of files that have one each

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("session", self.session);
    visit.Required("files", self.files);
  }
};

}  // namespace forkserver::protocol
