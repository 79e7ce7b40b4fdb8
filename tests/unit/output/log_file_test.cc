#include "server/output/log_file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/unit/leftovers.h"
#include "tests/unit/output/log_folder.h"
#include "tests/unit/run_in_child.h"

namespace forkserver::server {
namespace {

using testing::ListLogFiles;
using testing::LogFolder;
using testing::NoLeftovers;
using testing::ReadFile;
using testing::ReadLogFiles;
using testing::RunInChild;

constexpr char kTime[] = "2026-11-22T16:33:26.123456Z";
constexpr LogFile::Limits kLarge = {1 << 20, 2};

// Lines of very different sizes.
std::vector<std::string> MakeLines(int count) {
  std::vector<std::string> lines;
  for (int i = 0; i < count; ++i) {
    lines.push_back(std::to_string(i) +
                    std::string(static_cast<std::size_t>(i * i % 61), '.') +
                    "\n");
  }
  return lines;
}

void CheckRotated(const std::string& path, LogFile::Limits limits,
                  const std::string& all) {
  const std::vector<std::string> files = ListLogFiles(path);
  CHECK(files.size() == static_cast<std::size_t>(limits.files));
  for (const std::string& file : files) {
    const std::string text = ReadFile(file);
    REQUIRE(!text.empty());
    CHECK(text.back() == '\n');
    const bool one_line = std::count(text.begin(), text.end(), '\n') == 1;
    CHECK((static_cast<std::int64_t>(text.size()) <= limits.max_bytes ||
           one_line));
  }
  CHECK(all.ends_with(ReadLogFiles(path)));
}

TEST_CASE("files are rotated between lines, under any limits") {
  const NoLeftovers no_leftovers;
  const std::vector<std::string> lines = MakeLines(200);
  std::string all;
  for (const std::string& line : lines) all += line;
  for (const std::int64_t max_bytes : {1, 2, 10, 59, 60, 61, 100, 999}) {
    for (const std::int64_t files : {1, 2, 3, 7}) {
      CAPTURE(max_bytes);
      CAPTURE(files);
      const LogFile::Limits limits = {max_bytes, files};
      const LogFolder folder;
      LogFile one_by_one(folder.File("one.log"), limits);
      for (const std::string& line : lines) {
        CHECK(one_by_one.Append(line, kTime));
      }
      CheckRotated(folder.File("one.log"), limits, all);

      LogFile at_once(folder.File("two.log"), limits);
      CHECK(at_once.Append(all, kTime));
      CheckRotated(folder.File("two.log"), limits, all);
      CHECK(ReadLogFiles(folder.File("one.log")) ==
            ReadLogFiles(folder.File("two.log")));
    }
  }
}

TEST_CASE("of a time when more files were kept none is left") {
  const LogFolder folder;
  const std::string path = folder.File("log");
  LogFile file(path, {1, 5});
  for (int i = 0; i < 9; ++i) CHECK(file.Append("line\n", kTime));
  CHECK(ListLogFiles(path).size() == 5);
  file.set_limits({1, 2});
  CHECK(file.Append("line\n", kTime));
  CHECK(ListLogFiles(path).size() == 2);
}

TEST_CASE("a file is appended to, and is the owner's alone") {
  const LogFolder folder;
  const std::string path = folder.File("log");
  CHECK(LogFile(path, kLarge).Append("one\n", kTime));
  CHECK(LogFile(path, kLarge).Append("two\n", kTime));
  CHECK(ReadFile(path) == "one\ntwo\n");
  struct stat status = {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0600);
}

TEST_CASE("what others do to a file is noticed with the next line") {
  const NoLeftovers no_leftovers;
  const LogFolder folder;
  const std::string path = folder.File("log");
  LogFile file(path, kLarge);
  CHECK(file.Append("one\n", kTime));
  SUBCASE("removed") {
    std::filesystem::remove(path);
    CHECK(file.Append("two\n", kTime));
    CHECK(ReadFile(path) == "two\n");
  }
  SUBCASE("replaced") {
    std::filesystem::rename(path, path + ".old");
    std::ofstream(path) << "another\n";
    CHECK(file.Append("two\n", kTime));
    CHECK(ReadFile(path) == "another\ntwo\n");
  }
  SUBCASE("truncated") {
    std::filesystem::resize_file(path, 0);
    CHECK(file.Append("two\n", kTime));
    CHECK(ReadFile(path) == "two\n");
  }
  SUBCASE("torn, as by a crash") {
    std::filesystem::resize_file(path, 2);
    CHECK(file.Append("two\n", kTime));
    CHECK(ReadFile(path) == "on\ntwo\n");
  }
  CHECK(file.lost() == 0);
}

TEST_CASE("what is no file is refused, and does not block") {
  const NoLeftovers no_leftovers;
  const LogFolder folder;
  const std::string path = folder.File("log");
  const auto message_of = [&] {
    LogFile file(path, kLarge);
    const auto appended = file.Append("one\ntwo\n", kTime);
    REQUIRE(!appended);
    CHECK(file.lost() == 2);
    return appended.error().message;
  };
  SUBCASE("nobody reads the pipe") {
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    CHECK(message_of() == path + " is no regular file");
  }
  SUBCASE("a folder") {
    std::filesystem::create_directory(path);
    CHECK(message_of() == "open(" + path + "): Is a directory");
  }
  SUBCASE("a symbolic link") {
    std::filesystem::create_symlink(folder.File("else"), path);
    CHECK(message_of() ==
          "open(" + path + "): Too many levels of symbolic links");
    CHECK(!std::filesystem::exists(folder.File("else")));
  }
  SUBCASE("a device") {
    LogFile file("/dev/full", kLarge);
    const auto appended = file.Append("one\n", kTime);
    REQUIRE(!appended);
    CHECK(appended.error().message == "/dev/full is no regular file");
  }
}

TEST_CASE("lines that are lost are counted, and told of as soon as possible") {
  const NoLeftovers no_leftovers;
  const LogFolder folder;
  const std::string path = folder.File("sub") + "/log";
  const std::string missing = "open(" + path + "): No such file or directory";
  LogFile file(path, kLarge);
  auto appended = file.Append("one\ntwo\n", kTime);
  REQUIRE(!appended);
  CHECK(appended.error().message == missing);
  CHECK(!file.Append("three\n", kTime));
  CHECK(file.lost() == 3);

  std::filesystem::create_directory(folder.File("sub"));
  CHECK(file.Append("four\n", kTime));
  CHECK(file.Append("five\n", kTime));
  CHECK(ReadFile(path) == std::string(kTime) + " log 3 lines were lost: " +
                              missing + "\nfour\nfive\n");
  CHECK(file.lost() == 3);
}

TEST_CASE("they are told of although no line follows") {
  const LogFolder folder;
  const std::string path = folder.File("sub") + "/log";
  LogFile file(path, kLarge);
  CHECK(!file.Append("one\n", kTime));
  std::filesystem::create_directory(folder.File("sub"));
  CHECK(file.Append({}, kTime));
  CHECK(ReadFile(path).find("1 lines were lost") != std::string::npos);
}

TEST_CASE("a file that may not grow has whole lines only") {
  // At every byte of a line.
  for (rlim_t limit = 1; limit < 25; ++limit) {
    CAPTURE(limit);
    const LogFolder folder;
    const std::string path = folder.File("log");
    const auto outcome = RunInChild([&](int) {
      ::signal(SIGXFSZ, SIG_IGN);
      struct rlimit old = {};
      ::getrlimit(RLIMIT_FSIZE, &old);
      struct rlimit low = old;
      low.rlim_cur = limit;
      ::setrlimit(RLIMIT_FSIZE, &low);
      LogFile file(path, kLarge);
      const auto appended = file.Append("first\nsecond\nthird\n", kTime);
      if (limit >= 19) return appended ? 0 : 1;
      if (appended || appended.error().error_number != EFBIG) return 2;
      const std::int64_t lost = limit >= 13 ? 1 : limit >= 6 ? 2 : 3;
      if (file.lost() != lost) return 3;
      // There is room again.
      ::setrlimit(RLIMIT_FSIZE, &old);
      return file.Append("fourth\n", kTime) ? 0 : 4;
    });
    CHECK(outcome.code() == 0);
    const std::string kept = limit >= 13  ? "first\nsecond\n"
                             : limit >= 6 ? "first\n"
                                          : "";
    const std::string lost = limit >= 13 ? "1" : limit >= 6 ? "2" : "3";
    CHECK(ReadFile(path) ==
          (limit >= 19
               ? "first\nsecond\nthird\n"
               : kept + kTime + " log " + lost + " lines were lost: write(" +
                     path + "): File too large\nfourth\n"));
  }
}

TEST_CASE("what cannot be rotated does not grow") {
  const LogFolder folder;
  const std::string path = folder.File("log");
  std::filesystem::create_directories(path + ".1/full");
  LogFile file(path, {10, 2});
  CHECK(file.Append("12345678\n", kTime));
  const auto appended = file.Append("more\n", kTime);
  REQUIRE(!appended);
  CHECK(appended.error().message.starts_with("rename(" + path));
  CHECK(ReadFile(path) == "12345678\n");
  CHECK(file.lost() == 1);
  std::filesystem::remove_all(path + ".1");
  CHECK(file.Append("again\n", kTime));
  CHECK(ReadFile(path) == "again\n");
}

TEST_CASE("two processes write and rotate one path, and lose nothing") {
  const NoLeftovers no_leftovers;
  const LogFolder folder;
  const std::string path = folder.File("log");
  constexpr int kLines = 1500;
  std::vector<pid_t> children;
  for (const char name : {'a', 'b'}) {
    const pid_t pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      LogFile file(path, {500, 100});
      bool good = true;
      for (int i = 0; i < kLines; ++i) {
        good = file.Append(name + std::to_string(i) + "\n", kTime) && good;
      }
      ::_exit(good ? 0 : 1);
    }
    children.push_back(pid);
  }
  for (const pid_t pid : children) {
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    CHECK(status == 0);
  }
  const std::string text = ReadLogFiles(path);
  int next[2] = {0, 0};
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    REQUIRE(end != std::string::npos);
    int& expected = next[text[at] - 'a'];
    CHECK(text.substr(at + 1, end - at - 1) == std::to_string(expected++));
    at = end + 1;
  }
  CHECK(next[0] == kLines);
  CHECK(next[1] == kLines);
}

}  // namespace
}  // namespace forkserver::server
