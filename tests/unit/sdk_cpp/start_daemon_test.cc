#include "sdk/cpp/start_daemon.h"

#include <doctest/doctest.h>
#include <forkserver/client.h>
#include <sys/stat.h>

#include <chrono>
#include <string>

#include "sdk/cpp/find_daemon.h"
#include "tests/unit/sdk_cpp/scoped_test_state.h"

namespace forkserver {
namespace {

using std::chrono::seconds;
using test::ScopedEnvironment;
using test::TemporaryFolder;
using test::WriteFile;

// A "daemon" that writes its arguments beside itself and runs `script`.
std::string MakeProgram(const TemporaryFolder& folder,
                        const std::string& script) {
  const std::string path = folder / "forkserverd";
  WriteFile(path, "#!/bin/sh\necho \"$@\" > " + folder / "args" + "\n" + script,
            /*executable=*/true);
  return path;
}

TEST_CASE("a daemon that serves, or found another one, was started") {
  const TemporaryFolder folder;
  for (const char* code : {"exit 0", "exit 1"}) {
    const std::string program = MakeProgram(folder, code);
    CHECK(StartDaemon(program, "/some/s.sock", seconds(600),
                      Deadline::After(seconds(30))));
    CHECK(test::ReadFile(folder / "args") ==
          "--socket /some/s.sock --idle-exit 600000ms\n");
    CHECK(StartDaemon(program, "/some/s.sock", seconds(1),
                      Deadline::After(seconds(30)),
                      /*keep_surroundings=*/true));
    CHECK(test::ReadFile(folder / "args") ==
          "--socket /some/s.sock --idle-exit 1000ms --keep-surroundings\n");
  }
  test::CheckNoChildren();
}

TEST_CASE("a daemon that fails to start is named with its end") {
  const TemporaryFolder folder;
  auto started = StartDaemon(MakeProgram(folder, "exit 5"), "/s", seconds(1),
                             Deadline::After(seconds(30)));
  REQUIRE(!started);
  CHECK(started.error().code == error_code::kConnectFailed);
  CHECK(started.error().message.find("forkserverd --socket /s") !=
        std::string::npos);
  CHECK(started.error().message.find("exit code 5") != std::string::npos);
  started = StartDaemon(MakeProgram(folder, "kill -SEGV $$"), "/s", seconds(1),
                        Deadline::After(seconds(30)));
  REQUIRE(!started);
  CHECK(started.error().message.find("signal 11") != std::string::npos);
}

TEST_CASE("a daemon that never becomes ready is given up") {
  const TemporaryFolder folder;
  auto started =
      StartDaemon(MakeProgram(folder, "exec sleep 1000"), "/s", seconds(1),
                  Deadline::After(std::chrono::milliseconds(50)));
  REQUIRE(!started);
  CHECK(started.error().code == error_code::kTimeout);
  test::CheckNoChildren();
}

TEST_CASE("the daemon's program is looked for in FORKSERVER_BIN first") {
  const TemporaryFolder first;
  const TemporaryFolder second;
  const std::string program = MakeProgram(first, "");
  const ScopedEnvironment environment{{"FORKSERVER_BIN", first.path()},
                                      {"PATH", second.path()}};
  MakeProgram(second, "");
  auto found = FindDaemonProgram("");
  REQUIRE(found);
  CHECK(*found == program);
}

TEST_CASE("the daemon's program is looked for in PATH and ~/.local/bin") {
  const TemporaryFolder folder;
  const std::string program = MakeProgram(folder, "");
  {
    const ScopedEnvironment environment{{"FORKSERVER_BIN", std::nullopt},
                                        {"PATH", "/no:" + folder.path()}};
    CHECK(FindDaemonProgram("").value() == program);
  }
  const TemporaryFolder home;
  for (const char* part : {".local", ".local/bin"}) {
    REQUIRE(::mkdir((home / part).c_str(), 0700) == 0);
  }
  WriteFile(home / ".local/bin/forkserverd", "", /*executable=*/true);
  const ScopedEnvironment environment{
      {"FORKSERVER_BIN", std::nullopt}, {"PATH", "/no"}, {"HOME", home.path()}};
  CHECK(FindDaemonProgram("").value() == home / ".local/bin/forkserverd");
}

TEST_CASE("without a daemon's program the error says where it was looked for") {
  const TemporaryFolder folder;
  const ScopedEnvironment environment{{"FORKSERVER_BIN", "/no/bin"},
                                      {"PATH", "/no/path"},
                                      {"HOME", "/no/home"}};
  ConnectOptions options;
  options.socket_path = folder / "s";
  auto client = Client::Connect(options);
  REQUIRE(!client);
  CHECK(client.error().code == error_code::kConnectFailed);
  for (const char* looked : {"/no/bin", "/no/path", "/no/home/.local/bin"}) {
    CHECK_MESSAGE(client.error().message.find(looked) != std::string::npos,
                  client.error().message);
  }
}

TEST_CASE("a daemon's program that cannot be executed is named") {
  const TemporaryFolder folder;
  WriteFile(folder / "forkserverd", "no program");
  const ScopedEnvironment environment{{"FORKSERVER_BIN", folder.path()},
                                      {"PATH", "/no/path"},
                                      {"HOME", "/no/home"}};
  auto found = FindDaemonProgram("");
  REQUIRE(!found);
  CHECK_MESSAGE(found.error().message.find(folder.path() +
                                           " (where it cannot be executed)") !=
                    std::string::npos,
                found.error().message);
}

TEST_CASE("without permission to start one a missing daemon is an error") {
  const TemporaryFolder folder;
  ConnectOptions options;
  options.socket_path = folder / "s";
  options.start_daemon = false;
  auto client = Client::Connect(options);
  REQUIRE(!client);
  CHECK(client.error().code == error_code::kConnectFailed);
  CHECK(client.error().message ==
        "connect(" + folder / "s" + "): No such file or directory");
  CHECK(client.error().hint.find("forkserverd --socket") != std::string::npos);
}

TEST_CASE("a daemon that says it serves and does not is not waited for ever") {
  const TemporaryFolder folder;
  ConnectOptions options;
  options.socket_path = folder / "s";
  options.daemon_program = MakeProgram(folder, "exit 0");
  options.start_timeout = std::chrono::milliseconds(100);
  auto client = Client::Connect(options);
  REQUIRE(!client);
}

TEST_CASE("a socket path that is too long is refused with its limit") {
  ConnectOptions options;
  options.socket_path = "/" + std::string(200, 'x');
  auto client = Client::Connect(options);
  REQUIRE(!client);
  CHECK(client.error().code == error_code::kSocketPath);
}

}  // namespace
}  // namespace forkserver
