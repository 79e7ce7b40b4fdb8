// The tests of a Catch2 program, version 2 or 3.
#pragma once

#include <forkserver/result.h>

#include <string>
#include <vector>

#include "sdk/protocol/test_messages.h"
#include "tools/harness/targets/cold_framework.h"

namespace forkserver::harness {

struct Catch2Listing {
  int version = 0;  // 2 or 3
  // In the order in which they are declared.
  std::vector<protocol::ListedTest> tests;
};
// Asks the program. Hidden tests ([.]) are skipped by default, as Catch2 does.
Result<Catch2Listing> ListCatch2Tests(const ProgramRunner& run);

// --- of what it prints, for tests ---

// --libidentify: 2 or 3, 0 if it is neither.
int Catch2Version(const std::string& text);

// Version 2, --list-test-names-only --verbosity high.
std::vector<protocol::ListedTest> ReadCatch2Names(const std::string& text);
// Version 2, --list-tests: the tags of each test, in the order of the names;
// empty where the two do not fit.
std::vector<std::vector<std::string>> ReadCatch2Tags(const std::string& text,
                                                     std::size_t tests);
// Version 3, --list-tests --reporter xml.
Result<std::vector<protocol::ListedTest>> ReadCatch2Xml(std::string text);

}  // namespace forkserver::harness
