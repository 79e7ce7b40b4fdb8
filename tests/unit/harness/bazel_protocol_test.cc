#include "tools/harness/bazel/bazel_protocol.h"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

namespace forkserver::harness {
namespace {

using Variables = std::map<std::string, std::string>;

// Where Bazel's files of one test would be.
class Folder {
 public:
  Folder() {
    std::string path = "/tmp/bazel_protocol.XXXXXX";
    REQUIRE(::mkdtemp(path.data()) != nullptr);
    path_ = path;
  }
  ~Folder() { std::filesystem::remove_all(path_); }

  std::string file(const std::string& name) const { return path_ + "/" + name; }
  bool has(const std::string& name) const {
    return std::filesystem::exists(file(name));
  }
  std::string read(const std::string& name) const {
    std::ifstream stream(file(name));
    return {std::istreambuf_iterator<char>(stream), {}};
  }

 private:
  std::string path_;
};

Variables Test(Variables more = {}) {
  more["TEST_TARGET"] = "//a:b";
  more["TEST_TMPDIR"] = "/tmp";
  return more;
}

BazelProtocol Made(Variables more = {}) {
  auto bazel = BazelProtocol::FromEnvironment(Test(std::move(more)));
  REQUIRE(bazel);
  REQUIRE(*bazel);
  return **bazel;
}

TEST_CASE("elsewhere there is no protocol to keep") {
  const auto none = BazelProtocol::FromEnvironment(
      {{"TEST_TMPDIR", "/tmp"}, {"XML_OUTPUT_FILE", "/tmp/x"}});
  REQUIRE(none);
  CHECK_FALSE(*none);
}

TEST_CASE("what Bazel asks for") {
  const BazelProtocol bazel = Made({{"TESTBRIDGE_TEST_ONLY", "rows*"},
                                    {"TESTBRIDGE_TEST_RUNNER_FAIL_FAST", "1"},
                                    {"XML_OUTPUT_FILE", "/x/test.xml"}});
  CHECK(bazel.filter() == "rows*");
  CHECK(bazel.fail_fast());
  CHECK(bazel.xml_file() == "/x/test.xml");
  CHECK(bazel.run_time().count() == 0);
  CHECK_FALSE(Made().fail_fast());
}

TEST_CASE("the run ends before Bazel would end it") {
  using std::chrono::milliseconds;
  CHECK(Made({{"TEST_TIMEOUT", "300"}}).run_time() == milliseconds(285'000));
  CHECK(Made({{"TEST_TIMEOUT", "10"}}).run_time() == milliseconds(8'000));
  CHECK(Made({{"TEST_TIMEOUT", "1"}}).run_time() == milliseconds(800));
}

TEST_CASE("a time that is no number is named") {
  const auto bad =
      BazelProtocol::FromEnvironment(Test({{"TEST_TIMEOUT", "5m"}}));
  REQUIRE_FALSE(bad);
  CHECK(bad.error().message == "TEST_TIMEOUT='5m' is not a number");
}

TEST_CASE("an end of the process before End is premature") {
  const Folder folder;
  BazelProtocol bazel =
      Made({{"TEST_PREMATURE_EXIT_FILE", folder.file("premature")},
            {"TEST_SHARD_STATUS_FILE", folder.file("shards")},
            {"TEST_WARNINGS_OUTPUT_FILE", folder.file("warnings")},
            {"TEST_INFRASTRUCTURE_FAILURE_FILE", folder.file("failure")}});
  REQUIRE(bazel.Begin());
  CHECK(folder.has("premature"));
  CHECK(folder.has("shards"));
  bazel.End(RunSummary());
  CHECK_FALSE(folder.has("premature"));
  CHECK_FALSE(folder.has("warnings"));
  CHECK_FALSE(folder.has("failure"));
}

TEST_CASE("what was not the tests' fault has files of its own") {
  const Folder folder;
  BazelProtocol bazel =
      Made({{"TEST_WARNINGS_OUTPUT_FILE", folder.file("warnings")},
            {"TEST_INFRASTRUCTURE_FAILURE_FILE", folder.file("failure")}});
  REQUIRE(bazel.Begin());
  RunSummary summary;
  summary.flaky = 2;
  summary.errors = {"no such program"};
  bazel.End(summary);
  CHECK(folder.read("warnings").find("2 tests") == 0);
  CHECK(folder.read("failure") == "no such program\n");
}

TEST_CASE("a file that cannot be made is an error that names it") {
  BazelProtocol bazel =
      Made({{"TEST_PREMATURE_EXIT_FILE", "/nonexistent/premature"}});
  const auto begun = bazel.Begin();
  REQUIRE_FALSE(begun);
  CHECK(begun.error().message.find("/nonexistent/premature") !=
        std::string::npos);
}

}  // namespace
}  // namespace forkserver::harness
