#include "sdk/process/socket_path.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "tests/skip.h"
#include "tests/unit/sdk_cpp/scoped_test_state.h"

namespace forkserver {
namespace {

using test::ScopedEnvironment;
using test::TemporaryFolder;

mode_t ModeOf(const std::string& path) {
  struct stat info = {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  return info.st_mode & 07777;
}

TEST_CASE("an explicit socket path wins over the environment") {
  const ScopedEnvironment environment{{"FORKSERVER_SOCKET", "/other"}};
  CHECK(FindSocketPath("/mine") == "/mine");
}

TEST_CASE("FORKSERVER_SOCKET wins over XDG_RUNTIME_DIR") {
  const ScopedEnvironment environment{{"FORKSERVER_SOCKET", "/x/s.sock"},
                                      {"XDG_RUNTIME_DIR", "/run/me"}};
  CHECK(FindSocketPath() == "/x/s.sock");
}

TEST_CASE("an empty FORKSERVER_SOCKET counts as none") {
  const ScopedEnvironment environment{{"FORKSERVER_SOCKET", ""},
                                      {"XDG_RUNTIME_DIR", "/run/me"}};
  CHECK(FindSocketPath() == "/run/me/forkserver/default.sock");
}

TEST_CASE("a relative XDG_RUNTIME_DIR is ignored") {
  const ScopedEnvironment environment{{"FORKSERVER_SOCKET", std::nullopt},
                                      {"XDG_RUNTIME_DIR", "run"}};
  const std::string path = FindSocketPath();
  CHECK(path.front() == '/');
  CHECK(path.find("run/forkserver") != 0);
}

TEST_CASE("without any variable the path is one of this user") {
  const ScopedEnvironment environment{{"FORKSERVER_SOCKET", std::nullopt},
                                      {"XDG_RUNTIME_DIR", std::nullopt}};
  const std::string path = FindSocketPath();
#ifdef __APPLE__
  CHECK(path.find("/forkserver/default.sock") != std::string::npos);
#else
  const std::string user = std::to_string(::geteuid());
  const bool known = path == "/run/user/" + user + "/forkserver/default.sock" ||
                     path == "/tmp/forkserver-" + user + "/default.sock";
  CHECK_MESSAGE(known, path);
#endif
}

TEST_CASE("the socket's folder is made with mode 0700") {
  const TemporaryFolder folder;
  REQUIRE(PrepareSocketFolder(folder / "a/default.sock"));
  CHECK(ModeOf(folder / "a") == 0700);
  CHECK(PrepareSocketFolder(folder / "a/default.sock"));
}

TEST_CASE("only the last folder of the socket's path is made") {
  const TemporaryFolder folder;
  auto prepared = PrepareSocketFolder(folder / "a/b/default.sock");
  REQUIRE(!prepared);
  CHECK(prepared.error().message ==
        "mkdir(" + folder.path() + "/a/b): No such file or directory");
}

TEST_CASE("a socket folder that others can write to is refused") {
  const TemporaryFolder folder;
  for (const mode_t mode : {0770, 0702, 01777}) {
    REQUIRE(::chmod(folder.path().c_str(), mode) == 0);
    auto prepared = PrepareSocketFolder(folder / "default.sock");
    REQUIRE(!prepared);
    CHECK(prepared.error().code == error_code::kSocketPath);
    CHECK(prepared.error().message.find("can be written by others") !=
          std::string::npos);
  }
  REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
  CHECK(PrepareSocketFolder(folder / "default.sock"));
}

TEST_CASE("a socket folder that is a file is refused") {
  const TemporaryFolder folder;
  test::WriteFile(folder / "file", "");
  auto prepared = PrepareSocketFolder(folder / "file/default.sock");
  REQUIRE(!prepared);
  CHECK(prepared.error().message.find("is not a folder") != std::string::npos);
}

TEST_CASE("a link of this user to a good folder is followed") {
  const TemporaryFolder folder;
  REQUIRE(::mkdir((folder / "real").c_str(), 0700) == 0);
  REQUIRE(::symlink((folder / "real").c_str(), (folder / "link").c_str()) == 0);
  CHECK(PrepareSocketFolder(folder / "link/default.sock"));
}

TEST_CASE("a socket folder of another user is refused") {
  const TemporaryFolder folder;
  // As root the folder is given away; for anybody else "/" is another's.
  std::string path = "/default.sock";
  if (::geteuid() == 0) {
    if (::chown(folder.path().c_str(), 12345, 12345) != 0) {
      FORKSERVER_SKIP("os: no other user is mapped in this user namespace");
    }
    path = folder / "default.sock";
  }
  auto prepared = PrepareSocketFolder(path);
  REQUIRE(!prepared);
  CHECK(prepared.error().message.find("belongs to user") != std::string::npos);
}

}  // namespace
}  // namespace forkserver
