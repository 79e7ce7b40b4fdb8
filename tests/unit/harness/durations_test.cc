#include "tools/harness/plan/durations.h"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "sdk/base/text_file.h"
#include "tools/harness/plan/last_run.h"
#include "tools/harness/plan/state_folder.h"

namespace forkserver::harness {
namespace {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    char path[] = "/tmp/fsXXXXXX";
    path_ = ::mkdtemp(path);
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const {
    return path_ + "/" + name;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST_CASE("the median of the last times is what a test takes") {
  Durations durations;
  CHECK(durations.MedianUs("a") == 0);
  for (const std::int64_t wall_us : {9000, 10, 30, 20, 900, 25}) {
    durations.Add("a", wall_us);
  }
  // 9000 is forgotten.
  CHECK(durations.MedianUs("a") == 25);
  CHECK(durations.LastUs("a") == 25);
  durations.Add("quick", 0);
  CHECK(durations.MedianUs("quick") == 1);
}

TEST_CASE("what was written is read again, whatever the ids are") {
  const TemporaryFolder folder;
  const std::string path = folder / "durations";
  Durations durations;
  const std::string strange = "a\tb\nc\\n \\ d";
  durations.Add("plain", 10);
  durations.Add("plain", 20);
  durations.Add(strange, 30);
  REQUIRE(durations.Write(path));
  const auto read = Durations::Read(path);
  REQUIRE(read);
  CHECK(read->size() == 2);
  CHECK(read->LastUs("plain") == 20);
  CHECK(read->LastUs(strange) == 30);
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()),
                      std::filesystem::directory_iterator()) == 1);
}

TEST_CASE("lines that are not understood are passed over") {
  const TemporaryFolder folder;
  const std::string path = folder / "durations";
  std::ofstream(path) << "10 20\tgood\n"
                         "\n"
                         "x\tbad\n"
                         "10\n"
                         "-5\tnegative\n"
                         "99999999999999999999999\thuge\n"
                         "1 2 3 4 5 6 7\tmany\n"
                         "30\tgood\n"
                         "40\tlast";
  const auto durations = Durations::Read(path);
  REQUIRE(durations);
  CHECK(durations->size() == 4);
  CHECK(durations->LastUs("good") == 10);
  CHECK(durations->LastUs("last") == 40);
  CHECK(durations->LastUs("huge") > 0);
  CHECK(durations->MedianUs("many") == 3);
}

TEST_CASE("a file that is not there is empty, one that is a folder an error") {
  const TemporaryFolder folder;
  CHECK(Durations::Read(folder / "none")->size() == 0);
  CHECK_FALSE(Durations::Read(folder.path()));
}

TEST_CASE("the tests that ran last are kept, of any number") {
  Durations durations;
  for (std::size_t i = 0; i < Durations::kTestsKept + 10; ++i) {
    durations.Add("test " + std::to_string(i), 5);
  }
  CHECK(durations.size() == Durations::kTestsKept);
  CHECK(durations.MedianUs("test 9") == 0);
  CHECK(durations.MedianUs("test 10") == 5);
}

TEST_CASE("a file is replaced as a whole or not at all") {
  const TemporaryFolder folder;
  const std::string path = folder / "file";
  REQUIRE(ReplaceFile(path, "old"));
  REQUIRE(ReplaceFile(path, "new"));
  CHECK(*ReadTextFile(path) == "new");
  CHECK_FALSE(ReplaceFile(folder / "none/file", "x"));
}

TEST_CASE("each project has a folder of its own below the cache") {
  const TemporaryFolder folder;
  ::setenv("XDG_CACHE_HOME", folder.path().c_str(), 1);
  const auto one = StateFolder("/home/me/one");
  const auto two = StateFolder("/home/me/two");
  REQUIRE(one);
  REQUIRE(two);
  CHECK(*one != *two);
  CHECK(one->find(folder.path() + "/forkserver/tests/") == 0);
  CHECK(std::filesystem::is_directory(*one));
  std::ofstream(folder / "file") << "x";
  ::setenv("XDG_CACHE_HOME", (folder / "file").c_str(), 1);
  CHECK_FALSE(StateFolder("/home/me/one"));
}

TEST_CASE("a test that passes is no failure of the last run any more") {
  const TemporaryFolder folder;
  const std::string path = folder / "failed";
  LastRun last;
  last.Note("a\nb", true);
  last.Note("c", true);
  REQUIRE(last.Write(path));
  auto read = LastRun::Read(path);
  REQUIRE(read);
  CHECK(read->failures() == 2);
  CHECK(read->HasFailed("a\nb"));
  read->Note("c", false);
  // It did not run this time.
  CHECK(read->HasFailed("a\nb"));
  CHECK_FALSE(read->HasFailed("c"));
}

}  // namespace
}  // namespace forkserver::harness
