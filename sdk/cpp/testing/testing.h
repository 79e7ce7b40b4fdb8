// Test programs whose tests forkserverd forks from a warm process.
//
//   #include <doctest/doctest.h>
//   #include <forkserver/testing.h>
//
//   #include <map>
//   #include <string>
//
//   std::map<std::string, std::string> words;  // what is expensive to load
//
//   FORKSERVER_TEST_WARM_UP("words") { words["hello"] = "bonjour"; }
//
//   TEST_CASE("a word is known") { CHECK(words.at("hello") == "bonjour"); }
//
// Link the library doctest_main instead of doctest's own main function, or
// gtest_main of this SDK instead of GoogleTest's. Run by hand the program is an
// ordinary program of its framework. Under `forkserver test` its set-up and its
// warm-ups run once, and each test is forked from there.
//
// Public header: standard library only, C++17 or later.
#pragma once

namespace forkserver {

// What the main function of the library calls: for a program that has one of
// its own. It should do nothing before that starts a thread. Returns the exit
// code for main.
int RunTests(int argc, char** argv);

namespace test_host {

// Registers a warm-up; see the macro. Returns 0.
int AddWarmUp(const char* name, void (*run)());

}  // namespace test_host
}  // namespace forkserver

#define FORKSERVER_TEST_PASTE2(a, b) a##b
#define FORKSERVER_TEST_PASTE(a, b) FORKSERVER_TEST_PASTE2(a, b)

// A piece of work to be done once before the tests, in the program's one
// thread: to load, allocate and compute. Warm-ups of a file run in their order;
// those of several files in the order in which the linker has them. By hand
// they run when the first test is about to, and not for `--help` and listings.
//
// It must leave no thread behind and no connection open, which a fork would not
// carry over: the program is refused then, and what it is is named. An
// exception makes the run fail and is named with the warm-up. Names are unique
// in a program.
#define FORKSERVER_TEST_WARM_UP(name) \
  FORKSERVER_TEST_WARM_UP_NAMED(      \
      name, FORKSERVER_TEST_PASTE(forkserver_warm_up_, __LINE__))
#define FORKSERVER_TEST_WARM_UP_NAMED(name, function)                  \
  static void function();                                              \
  [[maybe_unused]] static const int FORKSERVER_TEST_PASTE(function,    \
                                                          _is_known) = \
      ::forkserver::test_host::AddWarmUp(name, function);              \
  static void function()
