// A test program as its framework sees it, of which only what it once wrote is
// there: so old, new, damaged and hostile ones can be had.
#pragma once

#include <string>
#include <vector>

#include "tests/unit/harness/targets/scratch_folder.h"
#include "tools/harness/targets/cold_framework.h"

namespace forkserver::harness {

class RecordedProgram {
 public:
  // To a call that has all these words among its arguments. The first answer
  // that fits counts; a call that none fits ends with exit code 255.
  void Answer(std::vector<std::string> words, std::string out, int code = 0);
  // The same for one that writes a file too.
  void AnswerWithXml(std::vector<std::string> words, std::string xml,
                     std::string out = "", int code = 0);

  // Asks the framework for the tests of this program.
  Result<ColdListing> ListBy(ColdFramework& framework) const;

 private:
  struct Recorded {
    std::vector<std::string> words;
    std::string out;
    std::string xml;  // empty: none is written
    int code = 0;
  };

  ScratchFolder folder_;
  std::vector<Recorded> answers_;
};

// The names, with ", skipped" after those that are not run by default.
std::vector<std::string> NamesOf(const ColdListing& listing);

// What a test ended with: "passed", "failed", "skipped"; "begun" if the
// document ends in it, "absent" if it does not name it.
std::string StateOf(const FrameworkWord& word);
std::vector<std::string> StatesOf(const FrameworkReport& report);

// Reads every beginning of `text` with `framework`: whatever is cut off is not
// complete, and has no test that passed before its `end` was there. Returns
// the first length for which that is not so, or 0.
std::size_t FindBadBeginning(const ColdFramework& framework,
                             const std::vector<std::size_t>& tests,
                             const std::string& text, const std::string& end);

}  // namespace forkserver::harness
