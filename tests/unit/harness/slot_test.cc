#include "tools/harness/run/slot.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/unit/leftovers.h"
#include "tools/harness/run/run_folder.h"

namespace forkserver::harness {
namespace {

using testing::NoLeftovers;
namespace fs = std::filesystem;

class Parent {
 public:
  Parent() {
    char path[] = "/tmp/fsXXXXXX";
    path_ = ::mkdtemp(path);
  }
  ~Parent() { fs::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST_CASE("a folder is made, and emptied of whatever a test leaves there") {
  const Parent parent;
  const std::string folder = parent.path() + "/slot";
  REQUIRE(EmptyFolder(folder));
  CHECK(fs::is_empty(folder));
  std::ofstream(folder + "/file") << "x";
  fs::create_directories(folder + "/deep/er");
  fs::create_symlink(parent.path(), folder + "/link");
  ::chmod((folder + "/deep").c_str(), 0);
  ::chmod(folder.c_str(), 0);
  REQUIRE(EmptyFolder(folder));
  CHECK(fs::is_empty(folder));
  struct stat info = {};
  CHECK(::stat(folder.c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0700);
  CHECK(fs::exists(parent.path()));
}

TEST_CASE("what was made right after it was emptied is seen") {
  const Parent parent;
  const std::string folder = parent.path() + "/slot";
  for (int i = 0; i < 50; ++i) {
    REQUIRE(EmptyFolder(folder));
    REQUIRE(fs::is_empty(folder));
    std::ofstream(folder + "/" + std::to_string(i)) << "x";
  }
}

TEST_CASE("a folder that a test has removed or replaced is made anew") {
  const Parent parent;
  const std::string folder = parent.path() + "/slot";
  REQUIRE(EmptyFolder(folder));
  fs::remove(folder);
  REQUIRE(EmptyFolder(folder));
  fs::remove(folder);
  std::ofstream(folder) << "a file";
  REQUIRE(EmptyFolder(folder));
  CHECK(fs::is_directory(folder));
}

TEST_CASE("each slot has folders and a page of its own") {
  const NoLeftovers check;
  const Parent parent;
  SlotFiles one(parent.path(), "run", 0);
  SlotFiles two(parent.path(), "run", 1);
  REQUIRE(one.Prepare());
  REQUIRE(two.Prepare());
  CHECK(one.tmp() != two.tmp());
  CHECK(one.files().directory != two.files().directory);
  CHECK(one.page_name() != two.page_name());
  CHECK(one.page_fd() != two.page_fd());
  CHECK(one.files().page != nullptr);
}

TEST_CASE(
    "the folder of a run goes with it, and the next removes abandoned ones") {
  const NoLeftovers check;
  const Parent parent;
  std::string abandoned;
  {
    auto folder = RunFolder::Make(parent.path());
    REQUIRE(folder);
    CHECK(fs::is_directory(folder->path()));
    abandoned = parent.path() + "/fst-gone";
    fs::create_directories(abandoned + "/0");
    std::ofstream(abandoned + "/lock") << "";
    fs::create_directories(parent.path() + "/fst-made-just-now");
    fs::create_directories(parent.path() + "/other");
    auto second = RunFolder::Make(parent.path());
    REQUIRE(second);
    CHECK_FALSE(fs::exists(abandoned));
    CHECK(fs::exists(folder->path()));
    CHECK(fs::exists(parent.path() + "/fst-made-just-now"));
    CHECK(fs::exists(parent.path() + "/other"));
  }
  CHECK(std::distance(fs::directory_iterator(parent.path()),
                      fs::directory_iterator()) == 2);
}

}  // namespace
}  // namespace forkserver::harness
