// One forked worker: what it gets, what it sends, how it fails.
#include <doctest/doctest.h>
#include <unistd.h>

#include <csignal>

#include "sdk/base/unix_socket.h"
#include "tests/unit/sdk_cpp/zygote_driver.h"

using namespace forkserver;
using namespace forkserver::testing;

namespace {

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// The error of a request that the zygote refuses: nothing is forked for it.
protocol::WireError Refuse(ZygoteChannel& channel,
                           const protocol::Setup& setup) {
  static int count = 0;
  const std::string worker = "refused-" + std::to_string(++count);
  channel.Send(MakeForkWorker(worker, setup));
  REQUIRE(channel.WaitForFailed(worker));
  CHECK(channel.started.count(worker) == 0);
  CHECK(channel.failed[worker].pid == 0);
  CHECK(channel.longest_report <= protocol::kMaxReportBytes);
  return channel.failed[worker].error;
}

// The error of a worker whose set-up fails: reported before its end.
protocol::WireError FailToStart(ZygoteChannel& channel,
                                const protocol::Setup& setup) {
  static int count = 0;
  const std::string worker = "failing-" + std::to_string(++count);
  channel.Send(MakeForkWorker(worker, setup));
  REQUIRE(channel.WaitForExited(worker));
  CHECK(channel.started.count(worker) == 0);
  REQUIRE(channel.failed.count(worker) == 1);
  CHECK(channel.exited[worker].code == 125);
  CHECK(channel.failed[worker].pid == channel.exited[worker].pid);
  CHECK(channel.longest_report <= protocol::kMaxReportBytes);
  return channel.failed[worker].error;
}

}  // namespace

TEST_CASE("a worker returns its result and its exit code") {
  ZygoteDriver daemon(std::vector<std::string>{});
  ZygoteChannel& channel = daemon.channel();
  const std::string bytes("a\0b\xff", 4);
  CHECK(Call(channel, "w1", MakeSetup("echo", bytes)) == bytes);
  const protocol::Started& started = channel.started["w1"];
  const protocol::Exited& exited = channel.exited["w1"];
  CHECK(exited.code == 0);
  CHECK(!exited.signal);
  CHECK(exited.pid == started.pid);
  CHECK(exited.max_rss_bytes > 100'000);
  CHECK(started.forked_ns > 0);
  CHECK(started.forked_ns <= started.started_ns);
  CHECK(started.started_ns <= exited.ended_ns);

  CHECK(Call(channel, "w2", MakeSetup("exit_code", "300")) == "");
  CHECK(channel.exited["w2"].code == (300 & 0xff));
}

TEST_CASE("a worker knows its id, entry and arguments") {
  ZygoteDriver daemon(std::vector<std::string>{});
  auto setup = MakeSetup("print_context");
  setup.argv = {"a", "b c"};
  CHECK(Call(daemon.channel(), "run-7", setup) == "run-7|print_context|a|b c");
}

TEST_CASE("the worker's environment is the request's and its own id") {
  ZygoteDriver::Options options;
  options.env = {"OF_THE_ZYGOTE=1"};
  ZygoteDriver daemon(options);
  daemon.channel().Configure();
  auto setup = MakeSetup("print_env");
  setup.env = {"A=1", "EMPTY=", "A=2"};
  CHECK(Call(daemon.channel(), "w", setup) ==
        "A=1\nEMPTY=\nA=2\nFORKSERVER_WORKER=w\n");
  CHECK(daemon.channel().exited["w"].code == 0);
}

TEST_CASE("a worker's id takes the place of its client's own") {
  ZygoteDriver daemon(std::vector<std::string>{});
  auto setup = MakeSetup("print_env");
  setup.env = {"FORKSERVER_WORKER=client", "A=1", "FORKSERVER_WORKER=again",
               "FORKSERVER_WORKERS=2"};
  CHECK(Call(daemon.channel(), "w", setup) ==
        "A=1\nFORKSERVER_WORKERS=2\nFORKSERVER_WORKER=w\n");
}

TEST_CASE("what a worker executes carries its id") {
  ZygoteDriver daemon(std::vector<std::string>{});
  for (const std::string id : {"w-1", "w-2"}) {
    CHECK(Call(daemon.channel(), id,
               MakeSetup("run_shell", "test \"$FORKSERVER_WORKER\" = " + id)) ==
          "");
    CHECK(daemon.channel().exited[id].code == 0);
  }
}

TEST_CASE("the worker has the request's folder and umask") {
  ZygoteDriver daemon(std::vector<std::string>{});
  auto setup = MakeSetup("print_cwd");
  setup.cwd = "/usr/bin";
  setup.umask = 027;
  CHECK(Call(daemon.channel(), "w", setup) == "/usr/bin 027");
}

TEST_CASE("the worker has only the descriptors that were asked for") {
  ZygoteDriver daemon(std::vector<std::string>{});
  // Others that the zygote holds meanwhile.
  daemon.channel().Send(MakeForkWorker("other", MakeSetup("sleep_forever")));
  auto setup = MakeSetup("print_fds");
  setup.result = 0;
  setup.fds = {{7, 1}};
  Pipe result = MakePipe().value();
  Pipe extra = MakePipe().value();
  daemon.channel().Send(MakeForkWorker("w", setup),
                        {result.write_end.get(), extra.read_end.get()});
  result.write_end.Reset();
  const std::string fds = ReadAll(result.read_end.get());
  // The last one is the result's.
  CHECK(fds.substr(0, 8) == "0 1 2 7 ");
  CHECK(fds.find(' ', 8) == std::string::npos);
  CHECK(fds.back() == '*');
  REQUIRE(daemon.channel().WaitForExited("w"));
}

TEST_CASE("the worker has the signals of the program, not of the loop") {
  ZygoteDriver daemon(std::vector<std::string>{});
  CHECK(Call(daemon.channel(), "w", MakeSetup("print_signals")) ==
        "default default 0");
}

TEST_CASE("a worker may start threads") {
  ZygoteDriver daemon(std::vector<std::string>{});
  CHECK(Call(daemon.channel(), "w", MakeSetup("spawn_thread")) ==
        "from a thread");
}

TEST_CASE("what an entry left in its buffers is written at its end") {
  ZygoteDriver daemon(std::vector<std::string>{});
  auto setup = MakeSetup("write_to_stdout", "hello\n");
  setup.fds = {{1, 0}};
  Pipe output = MakePipe().value();
  daemon.channel().Send(MakeForkWorker("w", setup), {output.write_end.get()});
  output.write_end.Reset();
  CHECK(ReadAll(output.read_end.get()) == "hello\n");
  REQUIRE(daemon.channel().WaitForExited("w"));
  CHECK(daemon.channel().exited["w"].code == 0);
}

TEST_CASE("a crash is reported with its signal") {
  ZygoteDriver daemon(std::vector<std::string>{});
  Call(daemon.channel(), "w", MakeSetup("crash"));
  CHECK(daemon.channel().exited["w"].signal == SIGSEGV);
  CHECK(!daemon.channel().exited["w"].code);
}

TEST_CASE("an exception that leaves an entry is printed and ends it") {
  ZygoteDriver daemon(std::vector<std::string>{});
  auto setup = MakeSetup("throw");
  setup.fds = {{2, 0}};
  Pipe errors = MakePipe().value();
  daemon.channel().Send(MakeForkWorker("w", setup), {errors.write_end.get()});
  errors.write_end.Reset();
  CHECK(Contains(ReadAll(errors.read_end.get()),
                 "forkserver: entry 'throw' threw: no such luck"));
  REQUIRE(daemon.channel().WaitForExited("w"));
  CHECK(daemon.channel().exited["w"].signal == SIGABRT);
}

TEST_CASE("a result that nobody reads does not harm the worker") {
  ZygoteDriver daemon(std::vector<std::string>{});
  auto setup = MakeSetup("set_big_result", "1000000");
  setup.result = 0;
  Pipe pipe = MakePipe().value();
  pipe.read_end.Reset();
  daemon.channel().Send(MakeForkWorker("w", setup), {pipe.write_end.get()});
  REQUIRE(daemon.channel().WaitForExited("w"));
  CHECK(daemon.channel().exited["w"].code == 7);
}

TEST_CASE("a big result arrives whole, also through a non-blocking pipe") {
  ZygoteDriver daemon(std::vector<std::string>{});
  auto setup = MakeSetup("set_big_result", "1000000");
  setup.result = 0;
  Pipe pipe = MakePipe().value();
  SetNonBlocking(pipe.write_end.get());
  daemon.channel().Send(MakeForkWorker("w", setup), {pipe.write_end.get()});
  pipe.write_end.Reset();
  CHECK(ReadAll(pipe.read_end.get()) == std::string(1'000'000, 'x'));
  REQUIRE(daemon.channel().WaitForExited("w"));
}

TEST_CASE("a set-up that fails is reported with its step and errno") {
  ZygoteDriver daemon(std::vector<std::string>{});
  auto setup = MakeSetup("echo");
  setup.cwd = "/nonexistent";
  auto error = FailToStart(daemon.channel(), setup);
  CHECK(error.code == "launch_failed");
  CHECK(error.step == "chdir");
  CHECK(error.error_number == ENOENT);

  setup = MakeSetup("echo");
  setup.result = 3;
  CHECK(Refuse(daemon.channel(), setup).code == "bad_descriptor");

  // The zygote is as good as before.
  CHECK(Call(daemon.channel(), "w", MakeSetup("echo", "x")) == "x");
}

TEST_CASE("a setup that is no setup is reported") {
  ZygoteDriver daemon(std::vector<std::string>{});
  protocol::ForkWorker request;
  request.worker = "w";
  request.setup.data = "\xc1";
  daemon.channel().Send(request);
  REQUIRE(daemon.channel().WaitForFailed("w"));
  CHECK(daemon.channel().failed["w"].error.code == "malformed");
}

TEST_CASE("a frozen variable that differs is refused by name") {
  ZygoteDriver::Options options;
  options.env = {"FROZEN_A=1", "FROZEN_B=1", "LC_ALL=C"};
  ZygoteDriver daemon(options);
  daemon.channel().Configure({"sets_frozen"});
  auto setup = MakeSetup("echo", "x");
  setup.env = {"FROZEN_A=1", "FROZEN_B=2", "FROZEN_C=1"};
  const auto error = Refuse(daemon.channel(), setup);
  CHECK(error.code == "stale_environment");
  CHECK(Contains(error.message,
                 "FROZEN_B (changed), FROZEN_C (added), LC_ALL (removed)"));
  CHECK(!Contains(error.message, "FROZEN_A"));

  for (int i = 0; i < 100; ++i) {
    setup.env.push_back("FROZEN_LONG_NAME_" + std::to_string(i) + "=1");
  }
  CHECK(Contains(Refuse(daemon.channel(), setup).message, "..."));

  // What a preload step set is not the request's to know.
  setup.env = {"LC_ALL=C", "FROZEN_B=1", "FROZEN_A=1", "OTHER=1"};
  CHECK(Call(daemon.channel(), "w", setup) == "x");
}

TEST_CASE("an unknown entry is named, and so are the known ones") {
  ZygoteDriver daemon(std::vector<std::string>{});
  const auto error = Refuse(daemon.channel(), MakeSetup("nonsense"));
  CHECK(error.code == "unknown_entry");
  CHECK(Contains(error.message, "nonsense"));
  CHECK(Contains(error.hint, "echo"));
}

TEST_CASE("the client's limits hold where the setup names none") {
  ZygoteDriver daemon(std::vector<std::string>{});
  auto request = MakeForkWorker("w", MakeSetup("sleep_forever"));
  request.limits["nonsense"] = {1, 1};
  daemon.channel().Send(request);
  REQUIRE(daemon.channel().WaitForFailed("w"));
  CHECK(daemon.channel().failed["w"].error.code == "bad_request");
}

TEST_CASE("descriptors that the zygote cannot receive refuse one request") {
  ZygoteDriver::Options options;
  options.max_open_files = 16;
  ZygoteDriver daemon(options);
  daemon.channel().Configure();
  Pipe pipe = MakePipe().value();
  auto setup = MakeSetup("echo", std::string(100'000, 'x'));
  std::vector<int> fds;
  for (int i = 0; i < 30; ++i) {
    setup.fds.push_back({100 + i, i});
    fds.push_back(pipe.read_end.get());
  }
  daemon.channel().Send(MakeForkWorker("many", setup), fds);
  // Its own descriptor must not be taken for one that the first one lacks.
  CHECK(Call(daemon.channel(), "few", MakeSetup("echo", "x")) == "x");
  REQUIRE(daemon.channel().WaitForFailed("many"));
  CHECK(daemon.channel().failed["many"].error.code == "descriptor_limit");
  CHECK(daemon.channel().failed["many"].pid == 0);
}
