// A Client against a daemon that follows a script.
#include <doctest/doctest.h>
#include <forkserver/client.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sdk/base/unix_socket.h"
#include "sdk/protocol/codec.h"
#include "tests/unit/sdk_cpp/fake_daemon.h"

namespace forkserver {
namespace {

using protocol::frame_type::kEvent;
using protocol::frame_type::kExit;
using std::chrono::milliseconds;
using test::FakeDaemon;
using test::FakePeer;
using test::RecordOf;
using test::RunningWorker;

SpawnOptions True() {
  SpawnOptions options;
  options.argv = {"/bin/true"};
  return options;
}

Client ConnectTo(FakeDaemon& daemon) {
  auto client = daemon.Connect();
  REQUIRE_MESSAGE(client, client.error().ToString());
  return *std::move(client);
}

// Answers a spawn request and returns its id.
std::uint64_t LaunchWorker(FakePeer& peer, const std::string& worker_id) {
  peer.Expect<protocol::Spawn>();
  peer.Reply(protocol::WorkerReply{RunningWorker(worker_id)});
  return peer.id();
}

TEST_CASE("a request carries the caller's own folder, streams and program") {
  protocol::Setup setup;
  protocol::Policy policy;
  std::size_t fd_count = 0;
  {
    FakeDaemon daemon([&](FakePeer& peer) {
      peer.Greet();
      const auto spawn = peer.Expect<protocol::Spawn>();
      policy = spawn.policy;
      fd_count = peer.fds().size();
      auto decoded = protocol::DecodeBody<protocol::Setup>(spawn.setup.data);
      if (decoded) setup = *std::move(decoded);
      peer.Reply(protocol::WorkerReply{RunningWorker("f-1")});
    });
    Client client = ConnectTo(daemon);
    SpawnOptions options = True();
    options.cwd = "sub";
    options.timeout = std::chrono::seconds(2);
    options.stop_signal = 2;
    REQUIRE(client.Spawn(options));
  }
  char cwd[4096];
  REQUIRE(::getcwd(cwd, sizeof(cwd)) != nullptr);
  CHECK(setup.argv == std::vector<std::string>{"/bin/true"});
  CHECK(setup.cwd == std::string(cwd) + "/sub");
  CHECK(setup.fds.size() == fd_count);
  CHECK(fd_count <= 3);
  CHECK(policy.watch);
  CHECK(policy.timeout_ms == 2000);
  CHECK(policy.stop_signal == 2);
}

TEST_CASE("a service is asked for with its set-up and its policy") {
  protocol::ServiceStart start;
  protocol::Setup setup;
  std::size_t fd_count = 1;
  {
    FakeDaemon daemon([&](FakePeer& peer) {
      peer.Greet();
      start = peer.Expect<protocol::ServiceStart>();
      fd_count = peer.fds().size();
      auto decoded = protocol::DecodeBody<protocol::Setup>(start.setup.data);
      if (decoded) setup = *std::move(decoded);
      protocol::ServiceReply reply;
      reply.service.name = start.name;
      reply.service.state = ServiceState::kRunning;
      reply.service.policy = start.policy;
      peer.Reply(reply);
    });
    Client client = ConnectTo(daemon);
    ServiceOptions options;
    options.name = "render";
    options.zygote = "z";
    options.entry = "serve";
    options.args = "bytes";
    options.argv = {"word"};
    options.env = {{"A=1"}};
    options.policy.restart = RestartPolicy::kAlways;
    options.policy.after = {"database"};
    options.replace = true;
    auto service = client.StartService(options);
    REQUIRE(service);
    CHECK(service->name == "render");
    CHECK(service->state == ServiceState::kRunning);
    CHECK(service->policy.restart == RestartPolicy::kAlways);
    CHECK(service->policy.after == std::vector<std::string>{"database"});
  }
  CHECK(start.zygote == "z");
  CHECK(start.replace);
  CHECK(!start.no_wait);
  CHECK(setup.entry == "serve");
  CHECK(setup.args.data == "bytes");
  CHECK(setup.argv == std::vector<std::string>{"word"});
  CHECK(setup.env == std::vector<std::string>{"A=1"});
  CHECK(setup.fds.empty());
  CHECK(fd_count == 0);
}

TEST_CASE("a service that is known is asked for by its name") {
  std::vector<std::string> asked;
  const auto reply = [](FakePeer& peer, const std::string& name) {
    protocol::ServiceReply answer;
    answer.service.name = name;
    peer.Reply(answer);
  };
  {
    FakeDaemon daemon([&](FakePeer& peer) {
      peer.Greet();
      const auto start = peer.Expect<protocol::ServiceStart>();
      asked.push_back("start " + start.name + start.setup.data +
                      (start.no_wait ? " no_wait" : ""));
      reply(peer, start.name);
      const auto stop = peer.Expect<protocol::ServiceStop>();
      asked.push_back("stop " + stop.name + " " +
                      std::to_string(stop.grace_ms.value_or(-1)) +
                      (stop.remove ? " remove" : ""));
      reply(peer, stop.name);
      const auto restart = peer.Expect<protocol::ServiceRestart>();
      asked.push_back("restart " + restart.name);
      peer.Send(protocol::EncodeError(
          peer.id(), MakeError(error_code::kServiceFailed, "exit code 3")));
    });
    Client client = ConnectTo(daemon);
    CHECK(client.StartService("web", /*no_wait=*/true).value().name == "web");
    CHECK(client.StopService("web", milliseconds(0), /*remove=*/true)
              .value()
              .name == "web");
    auto restarted = client.RestartService("web");
    REQUIRE(!restarted);
    CHECK(restarted.error().code == error_code::kServiceFailed);
  }
  CHECK(asked == std::vector<std::string>{"start web no_wait",
                                          "stop web 0 remove", "restart web"});
}

TEST_CASE("a service has no descriptors of its client and needs a program") {
  FakeDaemon daemon([](FakePeer& peer) {
    peer.Greet();
    CHECK(!peer.Next());
  });
  Client client = ConnectTo(daemon);
  ServiceOptions options;
  options.name = "web";
  CHECK(client.StartService(options).error().code == error_code::kBadRequest);
  options.argv = {"x"};
  options.fds = {{5, 0}};
  CHECK(client.StartService(options).error().code == error_code::kBadRequest);
}

TEST_CASE("the record of an own worker comes without a further request") {
  FakeDaemon daemon([](FakePeer& peer) {
    peer.Greet();
    const auto id = LaunchWorker(peer, "f-1");
    peer.Send(kExit, id, RecordOf("f-1", 3));
    // The second Wait has to ask: the record was handed out.
    peer.Expect<protocol::Wait>();
    peer.Send(protocol::EncodeError(
        peer.id(), MakeError(error_code::kRecordExpired, "it is gone")));
  });
  Client client = ConnectTo(daemon);
  auto worker = client.Spawn(True());
  REQUIRE(worker);
  auto record = client.Wait(worker->id);
  REQUIRE(record);
  CHECK(record->code == 3);
  auto again = client.Wait(worker->id);
  REQUIRE(!again);
  CHECK(again.error().code == error_code::kRecordExpired);
}

TEST_CASE("a failed launch has the daemon's code, step and errno") {
  FakeDaemon daemon([](FakePeer& peer) {
    peer.Greet();
    peer.Expect<protocol::Spawn>();
    Error error = MakeError(error_code::kLaunchFailed, "execve(x): no", "hm");
    error.step = "execve";
    error.error_number = 2;
    peer.Send(protocol::EncodeError(peer.id(), error));
  });
  Client client = ConnectTo(daemon);
  auto worker = client.Spawn(True());
  REQUIRE(!worker);
  CHECK(worker.error().code == error_code::kLaunchFailed);
  CHECK(worker.error().step == "execve");
  CHECK(worker.error().error_number == 2);
  CHECK(worker.error().hint == "hm");
}

TEST_CASE("a Wait that gave up leaves one outstanding request") {
  int waits = 0;
  {
    FakeDaemon daemon([&waits](FakePeer& peer) {
      peer.Greet();
      peer.Expect<protocol::Wait>();
      const auto id = peer.id();
      ++waits;
      // The next request is not a second wait.
      peer.Expect<protocol::Status>();
      peer.Reply(DaemonStatus());
      peer.Send(
          protocol::EncodeReply(id, protocol::ExitReply{RecordOf("o-1", 4)}));
      while (peer.Next()) ++waits;
    });
    Client client = ConnectTo(daemon);
    for (int i = 0; i < 3; ++i) {
      auto early = client.Wait("o-1", milliseconds(1));
      REQUIRE(!early);
      CHECK(early.error().code == error_code::kTimeout);
    }
    REQUIRE(client.Status());
    auto record = client.Wait("o-1");
    REQUIRE(record);
    CHECK(record->code == 4);
  }
  CHECK(waits == 1);
}

TEST_CASE("a record that Stop returned is not handed out again") {
  FakeDaemon daemon([](FakePeer& peer) {
    peer.Greet();
    const auto id = LaunchWorker(peer, "f-1");
    peer.Expect<protocol::Stop>();
    peer.Reply(protocol::ExitReply{RecordOf("f-1", 9)});
    peer.Send(kExit, id, RecordOf("f-1", 9));
    peer.Expect<protocol::Wait>();
    peer.Send(protocol::EncodeError(
        peer.id(), MakeError(error_code::kUnknownWorker, "no")));
  });
  Client client = ConnectTo(daemon);
  auto worker = client.Spawn(True());
  REQUIRE(worker);
  auto record = client.Stop(worker->id);
  REQUIRE(record);
  CHECK(record->code == 9);
  CHECK(!client.Wait(worker->id));
}

TEST_CASE("Stop of a worker that just ended returns its record") {
  FakeDaemon daemon([](FakePeer& peer) {
    peer.Greet();
    const auto id = LaunchWorker(peer, "f-1");
    peer.Expect<protocol::Stop>();
    peer.Send(protocol::EncodeError(
        peer.id(), MakeError(error_code::kWorkerEnded, "it has ended")));
    peer.Send(kExit, id, RecordOf("f-1", 0));
  });
  Client client = ConnectTo(daemon);
  auto worker = client.Spawn(True());
  REQUIRE(worker);
  auto record = client.Stop(worker->id);
  REQUIRE(record);
  CHECK(record->code == 0);
}

TEST_CASE("launches and ends can be followed in an event loop") {
  FakeDaemon daemon([](FakePeer& peer) {
    peer.Greet();
    const auto first = LaunchWorker(peer, "f-1");
    const auto second = LaunchWorker(peer, "f-2");
    peer.Send(kExit, second, RecordOf("f-2", 2));
    peer.Send(kExit, first, RecordOf("f-1", 1));
    while (peer.Next()) {
    }
  });
  Client client = ConnectTo(daemon);
  std::vector<std::int64_t> codes;
  const auto on_launch = [&](Result<Worker> worker) {
    REQUIRE(worker);
    client.OnExit(worker->id, [&](Result<ExitRecord> record) {
      REQUIRE(record);
      codes.push_back(*record->code);
    });
  };
  client.SpawnAsync(True(), on_launch);
  client.SpawnAsync(True(), on_launch);
  while (codes.size() < 2) {
    pollfd waiting = {client.descriptor(), POLLIN, 0};
    REQUIRE(::poll(&waiting, 1, 30'000) == 1);
    REQUIRE(client.Process());
  }
  // The order depends on what was read at once.
  std::sort(codes.begin(), codes.end());
  CHECK(codes == std::vector<std::int64_t>{1, 2});
}

TEST_CASE("a callback may not block, and may ask for more") {
  FakeDaemon daemon([](FakePeer& peer) {
    peer.Greet();
    LaunchWorker(peer, "f-1");
    LaunchWorker(peer, "f-2");
    while (peer.Next()) {
    }
  });
  Client client = ConnectTo(daemon);
  std::string second;
  std::optional<Error> blocked;
  client.SpawnAsync(True(), [&](Result<Worker>) {
    auto status = client.Status();
    if (!status) blocked = status.error();
    client.SpawnAsync(True(), [&](Result<Worker> worker) {
      if (worker) second = worker->id;
    });
  });
  while (second.empty()) {
    pollfd waiting = {client.descriptor(), POLLIN, 0};
    REQUIRE(::poll(&waiting, 1, 30'000) == 1);
    REQUIRE(client.Process());
  }
  CHECK(second == "f-2");
  REQUIRE(blocked);
  CHECK(blocked->code == error_code::kBadRequest);
}

TEST_CASE("events of a subscription are called from Process") {
  FakeDaemon daemon([](FakePeer& peer) {
    peer.Greet();
    peer.Expect<protocol::Subscribe>();
    Snapshot snapshot;
    snapshot.workers.push_back(RunningWorker("f-7"));
    peer.Reply(snapshot);
    Event event;
    event.event = "worker_ended";
    event.worker = RunningWorker("f-7");
    peer.Send(kEvent, peer.id(), event);
    while (peer.Next()) {
    }
  });
  Client client = ConnectTo(daemon);
  std::vector<std::string> events;
  auto snapshot = client.Subscribe(
      [&](const Event& event) { events.push_back(event.event); });
  REQUIRE(snapshot);
  CHECK(snapshot->workers.size() == 1);
  // It may have come with the snapshot.
  while (events.empty()) {
    pollfd waiting = {client.descriptor(), POLLIN, 0};
    REQUIRE(::poll(&waiting, 1, 30'000) == 1);
    REQUIRE(client.Process());
  }
  CHECK(events == std::vector<std::string>{"worker_ended"});
}

TEST_CASE("two full directions do not lock each other") {
  constexpr int kEvents = 4000;
  FakeDaemon daemon([](FakePeer& peer) {
    peer.Greet();
    peer.Expect<protocol::Subscribe>();
    peer.Reply(Snapshot());
    const auto subscription = peer.id();
    // Writes much more than any socket holds before it reads again.
    Event event;
    event.event = std::string(1000, 'e');
    for (int i = 0; i < kEvents; ++i) peer.Send(kEvent, subscription, event);
    peer.Expect<protocol::Fork>();
    peer.Reply(protocol::WorkerReply{RunningWorker("f-1")});
  });
  Client client = ConnectTo(daemon);
  int events = 0;
  REQUIRE(client.Subscribe([&](const Event&) { ++events; }));
  ForkOptions options;
  options.zygote = "z";
  options.entry = "e";
  options.args = std::string(3 << 20, 'a');
  REQUIRE(client.Fork(options));
  CHECK(events == kEvents);
}

TEST_CASE("a lost connection names what was waited for") {
  FakeDaemon daemon([](FakePeer& peer) {
    peer.Greet();
    LaunchWorker(peer, "f-1");
    peer.Expect<protocol::Status>();
  });
  Client client = ConnectTo(daemon);
  auto worker = client.Spawn(True());
  REQUIRE(worker);
  auto status = client.Status();
  REQUIRE(!status);
  CHECK(status.error().code == error_code::kConnectionLost);
  CHECK(status.error().message.find("waiting for an answer to status") !=
        std::string::npos);
  auto record = client.Wait(worker->id);
  REQUIRE(!record);
  CHECK(record.error().code == error_code::kConnectionLost);
  CHECK(record.error().message.find("the end of worker f-1") !=
        std::string::npos);
  // And ever after.
  CHECK(client.List().error().code == error_code::kConnectionLost);
  CHECK(client.Process().error().code == error_code::kConnectionLost);
  std::optional<Error> async;
  client.SpawnAsync(True(), [&](Result<Worker> late) {
    if (!late) async = late.error();
  });
  REQUIRE(async);
  CHECK(async->code == error_code::kConnectionLost);
}

TEST_CASE("records that came before the connection was lost are kept") {
  FakeDaemon daemon([](FakePeer& peer) {
    peer.Greet();
    const auto id = LaunchWorker(peer, "f-1");
    peer.Send(kExit, id, RecordOf("f-1", 5));
    peer.Expect<protocol::Status>();
  });
  Client client = ConnectTo(daemon);
  auto worker = client.Spawn(True());
  REQUIRE(worker);
  REQUIRE(!client.Status());
  auto record = client.Wait(worker->id);
  REQUIRE(record);
  CHECK(record->code == 5);
}

TEST_CASE("bytes that are no message end the connection") {
  FakeDaemon daemon([](FakePeer& peer) {
    peer.Greet();
    peer.Expect<protocol::Status>();
    peer.Send(std::string_view("\0\0\0\1\xc1", 5));
    while (peer.Next()) {
    }
  });
  Client client = ConnectTo(daemon);
  auto status = client.Status();
  REQUIRE(!status);
  CHECK(status.error().code == error_code::kConnectionLost);
}

TEST_CASE("a client that is refused gets the daemon's reason") {
  const Error refusal =
      MakeError(error_code::kPeerConfined, "it runs under seccomp");
  SUBCASE("as the answer to hello") {
    FakeDaemon daemon([&](FakePeer& peer) {
      peer.Expect<protocol::Hello>();
      peer.Send(protocol::EncodeError(peer.id(), refusal));
    });
    auto client = daemon.Connect();
    REQUIRE(!client);
    CHECK(client.error().code == error_code::kPeerConfined);
  }
  SUBCASE("before hello was read") {
    FakeDaemon daemon(
        [&](FakePeer& peer) { peer.Send(protocol::EncodeError(0, refusal)); });
    auto client = daemon.Connect();
    REQUIRE(!client);
    CHECK(client.error().code == error_code::kPeerConfined);
  }
}

TEST_CASE("a protocol that was not offered is refused") {
  FakeDaemon daemon([](FakePeer& peer) {
    peer.Expect<protocol::Hello>();
    protocol::HelloReply reply;
    reply.protocol = 99;
    peer.Reply(reply);
  });
  auto client = daemon.Connect();
  REQUIRE(!client);
  CHECK(client.error().code == error_code::kVersionMismatch);
}

TEST_CASE("a daemon that does not answer is not waited for without end") {
  test::TemporaryFolder folder;
  // Listens and never accepts.
  auto listener = ListenUnixSocket(folder / "s", 8);
  REQUIRE(listener);
  ConnectOptions options;
  options.socket_path = folder / "s";
  options.start_timeout = milliseconds(20);
  auto client = Client::Connect(options);
  REQUIRE(!client);
  CHECK(client.error().code == error_code::kTimeout);
}

TEST_CASE("what is too large or too much is refused before it is sent") {
  FakeDaemon daemon([](FakePeer& peer) {
    peer.Greet();
    peer.Expect<protocol::Status>();
    peer.Reply(DaemonStatus());
  });
  Client client = ConnectTo(daemon);
  SpawnOptions crowded = True();
  for (int fd = 3; fd < 257; ++fd) crowded.fds[fd] = client.descriptor();
  CHECK(client.Spawn(crowded).error().code == error_code::kTooManyDescriptors);
  SpawnOptions large = True();
  large.argv.push_back(std::string(5 << 20, 'x'));
  CHECK(client.Spawn(large).error().code == error_code::kFrameTooLarge);
  SpawnOptions closed = True();
  closed.fds = {{7, 1023}};
  CHECK(client.Spawn(closed).error().code == error_code::kBadDescriptor);
  // Nothing was disturbed.
  CHECK(client.Status());
}

void ServeCall(FakePeer& peer, const std::string& bytes, bool keep_pipe) {
  peer.Greet();
  const auto fork = peer.Expect<protocol::Fork>();
  const auto setup = protocol::DecodeBody<protocol::Setup>(fork.setup.data);
  if (!setup || !setup->result) std::abort();
  peer.Reply(protocol::WorkerReply{RunningWorker("f-1")});
  const auto id = peer.id();
  std::vector<UniqueFd> fds = std::move(peer.fds());
  UniqueFd pipe = std::move(fds[static_cast<std::size_t>(*setup->result)]);
  for (std::size_t sent = 0; sent < bytes.size();) {
    const ssize_t size =
        ::write(pipe.get(), bytes.data() + sent, bytes.size() - sent);
    if (size <= 0) return;
    sent += static_cast<std::size_t>(size);
  }
  if (!keep_pipe) pipe.Reset();
  peer.Send(kExit, id, RecordOf("f-1", 0));
  // As a grandchild would that inherited the pipe.
  while (peer.Next()) {
  }
}

TEST_CASE("Call returns the bytes of the result and the record") {
  const std::string bytes(1 << 20, 'r');
  FakeDaemon daemon([&](FakePeer& peer) { ServeCall(peer, bytes, false); });
  Client client = ConnectTo(daemon);
  auto result = client.Call({});
  REQUIRE_MESSAGE(result, result.error().ToString());
  CHECK(result->result == bytes);
  CHECK(result->exit.code == 0);
}

TEST_CASE("Call does not wait for a descendant that holds the result pipe") {
  FakeDaemon daemon([](FakePeer& peer) { ServeCall(peer, "done", true); });
  Client client = ConnectTo(daemon);
  auto result = client.Call({});
  REQUIRE(result);
  CHECK(result->result == "done");
}

TEST_CASE("an upgrade tells both versions and changes the known one") {
  std::vector<std::string> programs;
  {
    FakeDaemon daemon([&programs](FakePeer& peer) {
      peer.Greet();
      programs.push_back(peer.Expect<protocol::Upgrade>().program);
      peer.Send(protocol::EncodeError(
          peer.id(), MakeError(error_code::kUpgradeFailed, "it crashed")));
      for (int i = 0; i < 2; ++i) {
        programs.push_back(peer.Expect<protocol::Upgrade>().program);
        peer.Reply(protocol::UpgradeReply{"fake", "fake 2"});
      }
    });
    Client client = ConnectTo(daemon);
    CHECK(client.daemon_version() == "fake");
    auto failed = client.Upgrade();
    REQUIRE(!failed);
    CHECK(failed.error().code == error_code::kUpgradeFailed);
    CHECK(failed.error().message == "it crashed");
    CHECK(client.daemon_version() == "fake");

    CHECK(client.Upgrade(std::string("a\0b", 3)).error().code ==
          error_code::kBadRequest);
    auto upgrade = client.Upgrade("/opt/forkserverd");
    REQUIRE(upgrade);
    CHECK(upgrade->from == "fake");
    CHECK(upgrade->version == "fake 2");
    CHECK(client.daemon_version() == "fake 2");
    REQUIRE(client.Upgrade("bin/forkserverd"));
  }
  char cwd[4096];
  REQUIRE(::getcwd(cwd, sizeof(cwd)) != nullptr);
  CHECK(programs ==
        std::vector<std::string>{"", "/opt/forkserverd",
                                 std::string(cwd) + "/bin/forkserverd"});
}

TEST_CASE("a forked child cannot use the connection of its parent") {
  std::atomic<bool> closed = false;
  FakeDaemon daemon([&closed](FakePeer& peer) {
    peer.Greet();
    peer.Expect<protocol::Status>();
    peer.Reply(DaemonStatus());
    while (peer.Next()) {
    }
    closed = true;
  });
  auto client = std::make_unique<Client>(ConnectTo(daemon));
  auto hold = MakePipe();
  REQUIRE(hold);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    hold->write_end.Reset();
    const int descriptor = client->descriptor();
    auto status = client->Status();
    const bool good = descriptor == -1 && !status &&
                      status.error().code == error_code::kUseAfterFork;
    client.reset();
    // Stays until the test has seen the connection's end.
    char byte;
    (void)!::read(hold->read_end.get(), &byte, 1);
    ::_exit(good ? 0 : 1);
  }
  hold->read_end.Reset();
  CHECK(client->Status());
  client.reset();
  // Although the child still lives.
  CHECK(test::WaitFor([&closed] { return closed.load(); }));
  hold->write_end.Reset();
  int outcome = 0;
  REQUIRE(::waitpid(child, &outcome, 0) == child);
  CHECK(WIFEXITED(outcome));
  CHECK(WEXITSTATUS(outcome) == 0);
}

}  // namespace
}  // namespace forkserver
