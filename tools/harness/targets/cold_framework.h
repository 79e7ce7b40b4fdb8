// A framework as it is used from outside: the flags of its programs, and its
// XML. One for each program. Passive, but for List.
#pragma once

#include <forkserver/client.h>
#include <forkserver/result.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/protocol/test_messages.h"
#include "tools/harness/targets/command_output.h"
#include "tools/harness/targets/target.h"
#include "tools/harness/targets/xml_document.h"

namespace forkserver::harness {

// Runs the program with further arguments, after those of the user.
using ProgramRunner = std::function<Result<CommandOutput>(
    const std::vector<std::string>& arguments)>;

struct ColdListing {
  std::vector<protocol::ListedTest> tests;  // names are unique
  std::vector<std::string> errors;
};

class ColdFramework {
 public:
  virtual ~ColdFramework() = default;
  virtual std::string_view name() const = 0;

  // `xml_path` is the path of a file that the program may write. Keeps what
  // Select and Read need to know.
  virtual Result<ColdListing> List(const ProgramRunner& run,
                                   const std::string& xml_path) = 0;

  // The arguments with which the program runs these tests, by index into the
  // listing, and no others.
  virtual std::vector<std::string> Select(
      const std::vector<std::size_t>& tests) const = 0;
  // Those with which it writes what becomes of them to `xml_path`.
  virtual std::vector<std::string> Report(
      const std::string& xml_path) const = 0;
  // Further variables for it, "NAME=value".
  virtual std::vector<std::string> variables() const { return {}; }

  // What a document says of these tests. It may end in the middle; then
  // nothing of it is complete. Damage: it is not about exactly these tests.
  virtual FrameworkReport Read(const std::vector<std::size_t>& tests,
                               const XmlDocument& document) const = 0;
};

std::unique_ptr<ColdFramework> MakeColdDoctest();
std::unique_ptr<ColdFramework> MakeColdGoogleTest();
std::unique_ptr<ColdFramework> MakeColdCatch2();

// A test as the document has it: joins those of a document with those that
// were asked for.
struct XmlTest {
  std::size_t test = 0;  // into the listing
  FrameworkWord word;
};
// `ran`: in the order of the document; each test of `tests` must be there
// once, and no other one.
FrameworkReport JoinXmlTests(const std::vector<std::size_t>& tests,
                             std::vector<XmlTest> ran,
                             const std::vector<std::string>& strangers,
                             bool complete);

}  // namespace forkserver::harness
