// Between a test framework and forkserverd: the part of a warm test program
// that is the same for every framework. doctest_main.h and gtest_main.h are
// the other part, written against this header only, so that they can be
// compiled with any version of their framework.
//
// Public header: standard library only, C++17 or later.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace forkserver::test_host {

struct Test {
  std::string name;  // made unique where the framework permits equal names
  std::string suite;
  std::string file;
  std::int64_t line = 0;
  std::vector<std::string> tags;
  // Why the framework would not run it by default, or empty.
  std::string skip;
};

struct Failure {
  std::string message;
  std::string file;
  std::int64_t line = 0;
  std::string where;  // subcase, parameter
};

enum class Status { kPassed, kFailed, kSkipped };

// Takes what the framework says of its tests while they run. For any thread.
// In a process that a test forked nothing that is told here reaches anybody.
class Report {
 public:
  virtual ~Report() = default;
  // `test`: index into Framework::List().
  virtual void Begun(std::size_t test) = 0;
  // Of the test that runs; told at once, so that it is known if it crashes.
  virtual void Failed(const Failure& failure) = 0;
  // `reason`: of a skip, or why an expected failure counts as a pass.
  virtual void Ended(std::size_t test, Status status, const std::string& reason,
                     std::int64_t assertions) = 0;
};

struct Run {
  std::vector<std::size_t> tests;  // in this order, in this process
  std::int64_t seed = 0;           // 0: none
  // A person looks: the framework's own output, nothing caught that a debugger
  // should see.
  bool debug = false;
  std::vector<std::string> arguments;  // further ones for the framework
};

class Framework {
 public:
  virtual ~Framework() = default;
  // What the program contains, so that it is known for a warm one.
  virtual const char* marker() const = 0;
  virtual const char* name() const = 0;
  virtual std::string version() const = 0;

  // An ordinary program of the framework, with RunWarmUps before the first
  // test. Returns the exit code.
  virtual int RunByHand(int argc, char** argv) = 0;

  // As a zygote, in this order: takes the command line; lists the tests, when
  // the warm-ups have run, and prepares to find each at once. A worker may ask
  // for the list again, which is the same.
  virtual void Start(int argc, char** argv) = 0;
  virtual std::vector<Test> List() = 0;
  // In a worker: runs them and nothing else. Begun and Ended of each are told,
  // as far as the process lives.
  virtual void RunThem(const Run& run, Report& report) = 0;
};

// The main function. `framework` is borrowed.
int Main(int argc, char** argv, Framework& framework);

// For RunByHand. True if there are any.
bool HasWarmUps();
// Runs them once. False, with a message on standard error, if one failed.
bool RunWarmUps();

}  // namespace forkserver::test_host
