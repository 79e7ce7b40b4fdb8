// FORKSERVER_DISABLE=1: a Client without a daemon.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <forkserver/client.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <string>
#include <vector>

#include "tests/unit/sdk_cpp/scoped_test_state.h"

namespace forkserver {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::CheckNoChildren;
using test::CountFds;
using test::ScopedEnvironment;
using test::TemporaryFolder;
using test::WaitFor;

SpawnOptions Shell(const std::string& script) {
  SpawnOptions options;
  options.argv = {"/bin/sh", "-c", script};
  return options;
}

Client ConnectDisabled() {
  const ScopedEnvironment environment{{"FORKSERVER_DISABLE", "1"}};
  auto client = Client::Connect();
  REQUIRE(client);
  return *std::move(client);
}

// Nothing is left when the client is gone.
struct Fixture {
  int fds_before = CountFds();
  ~Fixture() {
    CheckNoChildren();
    CHECK(CountFds() == fds_before);
  }
};

TEST_CASE("without a daemon a worker's exit code is in its record") {
  const Fixture fixture;
  Client client = ConnectDisabled();
  SpawnOptions options = Shell("exit 3");
  options.name = "three";
  auto worker = client.Spawn(options);
  REQUIRE_MESSAGE(worker, worker.error().ToString());
  CHECK(worker->pid > 0);
  CHECK(worker->state == WorkerState::kRunning);
  auto record = client.Wait(worker->id);
  REQUIRE(record);
  CHECK(record->code == 3);
  CHECK(!record->signal);
  CHECK(record->reason == EndReason::kExited);
  CHECK(record->direct);
  CHECK(record->name == "three");
  CHECK(record->id == worker->id);
  CHECK(record->max_rss_bytes > 0);
  CHECK(record->journey.started_ns >= record->journey.received_ns);
  CHECK(record->journey.ended_ns >= record->journey.started_ns);
}

TEST_CASE("without a daemon a record is handed out once") {
  const Fixture fixture;
  Client client = ConnectDisabled();
  auto worker = client.Spawn(Shell("exit 0"));
  REQUIRE(worker);
  REQUIRE(client.Wait(worker->id));
  auto again = client.Wait(worker->id);
  REQUIRE(!again);
  CHECK(again.error().code == error_code::kUnknownWorker);
}

TEST_CASE("without a daemon a worker's signal is in its record") {
  const Fixture fixture;
  Client client = ConnectDisabled();
  auto worker = client.Spawn(Shell("kill -USR1 $$"));
  REQUIRE(worker);
  auto record = client.Wait(worker->id);
  REQUIRE(record);
  CHECK(record->signal == SIGUSR1);
  CHECK(!record->code);
  CHECK(record->reason == EndReason::kSignaled);
}

TEST_CASE("without a daemon a program that is not there is named") {
  const Fixture fixture;
  Client client = ConnectDisabled();
  SpawnOptions options;
  options.argv = {"/no/such/program"};
  auto worker = client.Spawn(options);
  REQUIRE(!worker);
  CHECK(worker.error().code == error_code::kLaunchFailed);
  CHECK(worker.error().step == "execve");
  CHECK(worker.error().error_number == ENOENT);
}

TEST_CASE("without a daemon a missing working directory is named") {
  const Fixture fixture;
  Client client = ConnectDisabled();
  SpawnOptions options = Shell("exit 0");
  options.cwd = "/no/such/folder";
  auto worker = client.Spawn(options);
  REQUIRE(!worker);
  CHECK(worker.error().code == error_code::kLaunchFailed);
  CHECK(worker.error().step == "chdir");
  CHECK(worker.error().error_number == ENOENT);
  CHECK(worker.error().message.find("/no/such/folder") != std::string::npos);
}

TEST_CASE("an empty argv is refused before anything is launched") {
  const Fixture fixture;
  Client client = ConnectDisabled();
  auto worker = client.Spawn({});
  REQUIRE(!worker);
  CHECK(worker.error().code == error_code::kBadRequest);
}

TEST_CASE("Wait gives up after its timeout and can be repeated") {
  const Fixture fixture;
  Client client = ConnectDisabled();
  auto sleeper = client.Spawn(Shell("exec sleep 1000"));
  REQUIRE(sleeper);
  auto early = client.Wait(sleeper->id, milliseconds(20));
  REQUIRE(!early);
  CHECK(early.error().code == error_code::kTimeout);
  REQUIRE(client.Signal(sleeper->id, SIGKILL));
  auto record = client.Wait(sleeper->id, seconds(30));
  REQUIRE(record);
  CHECK(record->signal == SIGKILL);
  CHECK(record->reason == EndReason::kSignaled);
}

TEST_CASE("a worker's timeout stops it while its client waits") {
  const Fixture fixture;
  Client client = ConnectDisabled();
  SpawnOptions options = Shell("exec sleep 1000");
  options.timeout = milliseconds(30);
  auto worker = client.Spawn(options);
  REQUIRE(worker);
  auto record = client.Wait(worker->id, seconds(30));
  REQUIRE(record);
  CHECK(record->reason == EndReason::kTimeout);
  CHECK(record->signal == SIGTERM);
}

TEST_CASE("a worker that ignores TERM is killed after its grace period") {
  const Fixture fixture;
  const TemporaryFolder folder;
  Client client = ConnectDisabled();
  auto worker = client.Spawn(
      Shell("trap '' TERM; : > " + folder / "ready" + "; while :; do :; done"));
  REQUIRE(worker);
  REQUIRE(
      WaitFor([&] { return ::access((folder / "ready").c_str(), F_OK) == 0; }));
  auto record = client.Stop(worker->id, milliseconds(50));
  REQUIRE(record);
  CHECK(record->signal == SIGKILL);
  CHECK(record->reason == EndReason::kStopped);
}

TEST_CASE("stopping a worker ends its whole group") {
  const Fixture fixture;
  const TemporaryFolder folder;
  Client client = ConnectDisabled();
  // The grandchild ignores TERM, so only the kill of the group ends it.
  auto worker = client.Spawn(Shell("(trap '' TERM; echo > " + folder / "ready" +
                                   "; exec sleep 1000) & wait"));
  REQUIRE(worker);
  REQUIRE(
      WaitFor([&] { return ::access((folder / "ready").c_str(), F_OK) == 0; }));
  const auto group = static_cast<pid_t>(worker->pid);
  auto record = client.Stop(worker->id);
  REQUIRE(record);
  CHECK(record->reason == EndReason::kStopped);
  // A zombie of somebody else's child still counts as a member of the group.
  CHECK(WaitFor([&] {
    return ::kill(-group, 0) != 0 || ::waitpid(-group, nullptr, WNOHANG) > 0;
  }));
}

TEST_CASE("a stopped worker may end by itself with a code") {
  const Fixture fixture;
  const TemporaryFolder folder;
  Client client = ConnectDisabled();
  auto worker =
      client.Spawn(Shell("trap 'exit 7' TERM; : > " + folder / "ready" +
                         "; while :; do sleep 0.01; done"));
  REQUIRE(worker);
  REQUIRE(
      WaitFor([&] { return ::access((folder / "ready").c_str(), F_OK) == 0; }));
  auto record = client.Stop(worker->id);
  REQUIRE(record);
  CHECK(record->code == 7);
  CHECK(record->reason == EndReason::kStopped);
}

TEST_CASE("a worker is asked to stop by the signal that it was given") {
  const Fixture fixture;
  const TemporaryFolder folder;
  Client client = ConnectDisabled();
  auto options = Shell("trap '' TERM; trap 'exit 7' USR1; : > " +
                       folder / "ready" + "; while :; do sleep 0.01; done");
  options.stop_signal = SIGUSR1;
  auto worker = client.Spawn(options);
  REQUIRE(worker);
  REQUIRE(
      WaitFor([&] { return ::access((folder / "ready").c_str(), F_OK) == 0; }));
  auto record = client.Stop(worker->id);
  REQUIRE(record);
  CHECK(record->code == 7);
}

TEST_CASE("the end of the client ends its workers") {
  const Fixture fixture;
  pid_t pid = 0;
  {
    Client client = ConnectDisabled();
    auto worker = client.Spawn(Shell("exec sleep 1000"));
    REQUIRE(worker);
    pid = static_cast<pid_t>(worker->pid);
  }
  CHECK(::kill(pid, 0) != 0);
}

TEST_CASE("a detached worker outlives its client") {
  pid_t pid = 0;
  {
    Client client = ConnectDisabled();
    SpawnOptions options = Shell("exec sleep 1000");
    options.detach = true;
    auto worker = client.Spawn(options);
    REQUIRE(worker);
    pid = static_cast<pid_t>(worker->pid);
  }
  CHECK(::kill(pid, SIGKILL) == 0);
  CHECK(::waitpid(pid, nullptr, 0) == pid);
}

TEST_CASE("a worker gets exactly the environment, folder and descriptors") {
  const Fixture fixture;
  const TemporaryFolder folder;
  const int file =
      ::open((folder / "out").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  REQUIRE(file >= 0);
  {
    Client client = ConnectDisabled();
    SpawnOptions options = Shell("{ echo \"$ONLY$HOME\"; pwd; umask; } >&5");
    options.env = {{"ONLY=this"}};
    options.cwd = folder.path();
    options.umask = 0027;
    options.fds = {{5, file}};
    auto worker = client.Spawn(options);
    REQUIRE_MESSAGE(worker, worker.error().ToString());
    auto record = client.Wait(worker->id);
    REQUIRE(record);
    CHECK(record->code == 0);
  }
  ::close(file);
  CHECK(test::ReadFile(folder / "out") ==
        "this\n" + folder.path() + "\n0027\n");
}

TEST_CASE("a handler of this process does not reach into a worker") {
  const Fixture fixture;
  struct sigaction ignore = {};
  struct sigaction before = {};
  ignore.sa_handler = SIG_IGN;
  REQUIRE(::sigaction(SIGUSR1, &ignore, &before) == 0);
  {
    Client client = ConnectDisabled();
    auto worker = client.Spawn(Shell("kill -USR1 $$; exit 0"));
    REQUIRE(worker);
    auto record = client.Wait(worker->id);
    REQUIRE(record);
    CHECK(record->signal == SIGUSR1);
  }
  ::sigaction(SIGUSR1, &before, nullptr);
}

TEST_CASE("a record that somebody else took is lost, not guessed") {
  Client client = ConnectDisabled();
  auto worker = client.Spawn(Shell("exit 3"));
  REQUIRE(worker);
  REQUIRE(::waitpid(static_cast<pid_t>(worker->pid), nullptr, 0) > 0);
  auto record = client.Wait(worker->id);
  REQUIRE(record);
  CHECK(record->reason == EndReason::kLost);
  CHECK(!record->code);
  CHECK(!record->signal);
}

TEST_CASE("without a daemon OnExit is called from Process") {
  const Fixture fixture;
  Client client = ConnectDisabled();
  CHECK(client.descriptor() == -1);
  std::string id;
  client.SpawnAsync(Shell("exit 4"), [&](Result<Worker> worker) {
    REQUIRE(worker);
    id = worker->id;
  });
  REQUIRE(!id.empty());
  std::optional<std::int64_t> code;
  std::optional<Error> nested;
  client.OnExit(id, [&](Result<ExitRecord> record) {
    REQUIRE(record);
    code = record->code;
    auto blocked = client.Spawn(Shell("exit 0"));
    if (!blocked) nested = blocked.error();
  });
  REQUIRE(WaitFor([&] {
    REQUIRE(client.Process());
    return code.has_value();
  }));
  CHECK(code == 4);
  REQUIRE(nested);
  CHECK(nested->code == error_code::kBadRequest);
  // OnExit looks at the record, Wait hands it out.
  CHECK(client.Wait(id));
}

TEST_CASE("what needs a daemon says that it is disabled") {
  const Fixture fixture;
  Client client = ConnectDisabled();
  CHECK(client.List().error().code == error_code::kDisabled);
  CHECK(client.Status().error().code == error_code::kDisabled);
  CHECK(client.Shutdown().error().code == error_code::kDisabled);
  CHECK(client.Upgrade().error().code == error_code::kDisabled);
  CHECK(client.daemon_version().empty());
  CHECK(client.Fork({}).error().code == error_code::kDisabled);
  CHECK(client.Call({}).error().code == error_code::kDisabled);
  CHECK(client.StartZygote({}).error().code == error_code::kDisabled);
  CHECK(client.StopZygote("z").error().code == error_code::kDisabled);
  CHECK(client.Subscribe(nullptr).error().code == error_code::kDisabled);
}

TEST_CASE("a client in a forked child fails and leaves the workers alone") {
  const Fixture fixture;
  Client client = ConnectDisabled();
  auto worker = client.Spawn(Shell("exec sleep 1000"));
  REQUIRE(worker);
  const int outcome = test::RunInForkedChild([&] {
    auto used = client.Wait(worker->id, milliseconds(0));
    if (used || used.error().code != error_code::kUseAfterFork) return 1;
    const Client gone = std::move(client);
    return 0;
  });
  CHECK(outcome == 0);
  CHECK(client.Signal(worker->id, 0));
  auto record = client.Stop(worker->id);
  REQUIRE(record);
  CHECK(record->signal == SIGTERM);
}

TEST_CASE("a client that was moved away fails") {
  Client client = ConnectDisabled();
  const Client other = std::move(client);
  auto status = client.Status();
  REQUIRE(!status);
  CHECK(status.error().code == error_code::kBadRequest);
}

}  // namespace
}  // namespace forkserver
