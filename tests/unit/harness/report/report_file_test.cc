#include "tools/harness/report/report_file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/skip.h"
#include "tests/unit/leftovers.h"
#include "tests/unit/run_in_child.h"

namespace forkserver::harness {
namespace {

namespace fs = std::filesystem;

class Folder {
 public:
  Folder() {
    std::string name = fs::temp_directory_path() / "report_file_XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { fs::remove_all(path_); }
  std::string operator/(const char* name) const { return path_ / name; }
  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(path_), fs::directory_iterator()));
  }

 private:
  fs::path path_;
};

std::string Contents(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string ErrorOf(const std::string& path) {
  const Result<ReportFile> file = ReportFile::Create("--junit", path, "x");
  REQUIRE_FALSE(file);
  CHECK(!file.error().hint.empty());
  return file.error().message;
}

TEST_CASE("a report's file has what was written, and nothing beside it") {
  const testing::NoLeftovers leftovers;
  const Folder folder;
  {
    Result<ReportFile> file =
        ReportFile::Create("--junit", folder / "a.xml", "begin ");
    REQUIRE(file);
    CHECK(Contents(folder / "a.xml") == "begin ");
    CHECK(file->seekable());
    CHECK(file->Append("more"));
    CHECK(file->WriteAt(0, "BEGIN"));
    CHECK(*file->ReadAt(6, 4) == "more");
    CHECK_FALSE(file->ReadAt(6, 5));
    CHECK(file->size() == 10);
  }
  CHECK(Contents(folder / "a.xml") == "BEGIN more");
  CHECK(folder.files() == 1);
}

TEST_CASE("what is wrong with a path is said, with the option") {
  const Folder folder;
  std::ofstream(folder / "file") << "x";
  const std::string missing = folder / "no/such/a.xml";
  CHECK(ErrorOf(missing) ==
        "--junit " + missing + ": there is no folder " + (folder / "no/such"));
  CHECK(ErrorOf(folder / ".").find(": it is a folder") != std::string::npos);
  CHECK(ErrorOf(folder / "file/a.xml").find(" is no folder") !=
        std::string::npos);
  CHECK(ErrorOf("").find("the name of the file is empty") != std::string::npos);
}

TEST_CASE("a file that may not be written is neither written nor replaced") {
  if (::geteuid() == 0) FORKSERVER_SKIP("os: root may write to every file");
  const Folder folder;
  std::ofstream(folder / "kept") << "kept";
  REQUIRE(::chmod((folder / "kept").c_str(), 0444) == 0);
  CHECK(ErrorOf(folder / "kept").find("Permission denied") !=
        std::string::npos);
  CHECK(Contents(folder / "kept") == "kept");
}

TEST_CASE("a file that is there is replaced where it is, with its rights") {
  const Folder folder;
  std::ofstream(folder / "real") << "something longer that was there before";
  REQUIRE(::chmod((folder / "real").c_str(), 0640) == 0);
  fs::create_symlink(folder / "real", folder / "link");
  REQUIRE(ReportFile::Create("--html", folder / "link", "new"));
  CHECK(fs::is_symlink(folder / "link"));
  CHECK(Contents(folder / "real") == "new");
  struct stat status;
  REQUIRE(::stat((folder / "real").c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0640);
}

TEST_CASE("a device gets what is appended and is never replaced") {
  Result<ReportFile> file =
      ReportFile::Create("--junit", "/dev/null", "contents");
  REQUIRE(file);
  CHECK_FALSE(file->seekable());
  CHECK(file->Append("text"));
  CHECK(fs::is_character_file("/dev/null"));
}

TEST_CASE("a full disk is an error that is kept, and ends the writing") {
  Result<ReportFile> file = ReportFile::Create("--trace", "/dev/full", "");
  if (!file) FORKSERVER_SKIP("os: no /dev/full");
  CHECK_FALSE(file->Append("text"));
  REQUIRE(file->error());
  CHECK(file->error()->error_number == ENOSPC);
  CHECK(file->error()->message.find("--trace /dev/full") == 0);
  CHECK_FALSE(file->Append("more"));
}

TEST_CASE("a file that may not grow keeps what it has") {
  const Folder folder;
  const std::string path = folder / "a.xml";
  const testing::ChildOutcome outcome = testing::RunInChild([&](int) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {100, 100};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
    Result<ReportFile> file = ReportFile::Create("--junit", path, "begin");
    if (!file) return 2;
    ReportFile::Replacement other(*file);
    if (other.Append(std::string(200, 'x')) || other.Finish()) return 3;
    return file->error()->error_number == EFBIG ? 0 : 4;
  });
  CHECK(outcome.code() == 0);
  CHECK(Contents(path) == "begin");
  CHECK(folder.files() == 1);
}

TEST_CASE("a replacement takes the place only when it is finished") {
  const testing::NoLeftovers leftovers;
  const Folder folder;
  Result<ReportFile> file = ReportFile::Create("--junit", folder / "a", "old");
  REQUIRE(file);
  {
    ReportFile::Replacement given_up(*file);
    CHECK(given_up.Append("new"));
  }
  CHECK(Contents(folder / "a") == "old");
  {
    ReportFile::Replacement finished(*file);
    CHECK(finished.Append("new"));
    CHECK(Contents(folder / "a") == "old");
    CHECK(finished.Finish());
  }
  CHECK(Contents(folder / "a") == "new");
  CHECK(folder.files() == 1);
}

}  // namespace
}  // namespace forkserver::harness
