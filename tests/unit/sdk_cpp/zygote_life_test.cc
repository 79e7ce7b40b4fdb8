// The loop of a zygote: many workers, signals, threads, retirement, its end.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "sdk/process/platform.h"
#include "tests/unit/sdk_cpp/zygote_driver.h"

using namespace forkserver;
using namespace forkserver::testing;

namespace {

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

void CheckExitsWith(ZygoteDriver& daemon, int code) {
  const auto status = daemon.WaitForEnd();
  REQUIRE(status);
  REQUIRE(WIFEXITED(*status));
  CHECK(WEXITSTATUS(*status) == code);
}

void StartSleeper(ZygoteChannel& channel, const std::string& worker,
                  bool detach = false) {
  auto request = MakeForkWorker(worker, MakeSetup("sleep_forever"));
  request.detach = detach;
  channel.Send(request);
  REQUIRE(channel.WaitForStarted(worker));
}

}  // namespace

TEST_CASE("a zygote with a stray thread refuses to fork and names it") {
  ZygoteDriver daemon(std::vector<std::string>{"starts_thread_at_fork"});
  ZygoteChannel& channel = daemon.channel();
  // It starts with this fork, in the zygote.
  CHECK(Call(channel, "first", MakeSetup("echo", "x")) == "x");
  channel.Send(MakeForkWorker("second", MakeSetup("echo")));
  REQUIRE(channel.WaitForFailed("second"));
  CHECK(channel.failed["second"].error.code == "zygote_unsafe");
  CHECK(Contains(channel.failed["second"].error.message, "stray worker"));
  CHECK(channel.failed["second"].pid == 0);
}

TEST_CASE("a signal reaches the worker or its group, others are ignored") {
  ZygoteDriver daemon(std::vector<std::string>{});
  ZygoteChannel& channel = daemon.channel();
  StartSleeper(channel, "a");
  StartSleeper(channel, "b");
  channel.Send(protocol::SignalWorker{"nobody", SIGKILL, true});
  channel.Send(protocol::SignalWorker{"a", SIGTERM, false});
  channel.Send(protocol::SignalWorker{"b", SIGKILL, true});
  REQUIRE(channel.WaitForExited("a"));
  REQUIRE(channel.WaitForExited("b"));
  CHECK(channel.exited["a"].signal == SIGTERM);
  CHECK(channel.exited["b"].signal == SIGKILL);
  // It is reaped: nothing there to be signalled.
  channel.Send(protocol::SignalWorker{"a", SIGKILL, true});
  CHECK(Call(channel, "c", MakeSetup("echo", "x")) == "x");
}

TEST_CASE("a signal right after the request is not lost") {
  ZygoteDriver daemon(std::vector<std::string>{});
  ZygoteChannel& channel = daemon.channel();
  for (int i = 0; i < 30; ++i) {
    const std::string worker = "w" + std::to_string(i);
    channel.Send(MakeForkWorker(worker, MakeSetup("sleep_forever")));
    channel.Send(protocol::SignalWorker{worker, SIGKILL, true});
  }
  for (int i = 0; i < 30; ++i) {
    REQUIRE(channel.WaitForExited("w" + std::to_string(i)));
  }
}

TEST_CASE("a retired zygote forks no more and ends with its last worker") {
  ZygoteDriver daemon(std::vector<std::string>{});
  ZygoteChannel& channel = daemon.channel();
  StartSleeper(channel, "old");
  channel.Send(protocol::Retire());
  channel.Send(MakeForkWorker("new", MakeSetup("echo")));
  REQUIRE(channel.WaitForFailed("new"));
  CHECK(channel.failed["new"].error.code == "zygote_retired");
  CHECK(!channel.control_closed);
  channel.Send(protocol::SignalWorker{"old", SIGTERM, false});
  REQUIRE(channel.WaitFor([&] { return channel.report_closed; }));
  CHECK(channel.exited["old"].signal == SIGTERM);
  CheckExitsWith(daemon, 0);
}

TEST_CASE("a retired zygote without workers ends at once") {
  ZygoteDriver daemon(std::vector<std::string>{"leaves_child"});
  daemon.channel().Send(protocol::Retire());
  CheckExitsWith(daemon, 0);
}

TEST_CASE("without a daemon a zygote kills what is not detached and ends") {
  ZygoteDriver daemon(std::vector<std::string>{});
  ZygoteChannel& channel = daemon.channel();
  StartSleeper(channel, "a");
  StartSleeper(channel, "b");
  StartSleeper(channel, "detached", true);
  const auto survivor = static_cast<pid_t>(channel.started["detached"].pid);
  channel.CloseControl();
  channel.control_closed = true;
  REQUIRE(channel.WaitFor([&] { return channel.report_closed; }));
  CHECK(channel.exited["a"].signal == SIGKILL);
  CHECK(channel.exited["b"].signal == SIGKILL);
  CHECK(channel.exited.count("detached") == 0);
  CheckExitsWith(daemon, 0);
  // It is this process's child now, and alive.
  int status = 0;
  CHECK(::waitpid(survivor, &status, WNOHANG) == 0);
  CHECK(::kill(survivor, SIGKILL) == 0);
  CHECK(::waitpid(survivor, &status, 0) == survivor);
}

TEST_CASE("workers die with their zygote unless they are detached") {
  ZygoteDriver daemon(std::vector<std::string>{});
  ZygoteChannel& channel = daemon.channel();
  StartSleeper(channel, "a");
  StartSleeper(channel, "detached", true);
  const auto worker = static_cast<pid_t>(channel.started["a"].pid);
  const auto survivor = static_cast<pid_t>(channel.started["detached"].pid);
  ::kill(daemon.pid(), SIGKILL);
  REQUIRE(daemon.WaitForEnd());
  int status = 0;
  CHECK(::waitpid(worker, &status, 0) == worker);
  CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
  CHECK(::waitpid(survivor, &status, WNOHANG) == 0);
  ::kill(survivor, SIGKILL);
  CHECK(::waitpid(survivor, &status, 0) == survivor);
}

TEST_CASE("a broken stream ends the zygote and its workers") {
  ZygoteDriver daemon(std::vector<std::string>{});
  StartSleeper(daemon.channel(), "a");
  daemon.channel().SendBytes(std::string("\xff\xff\xff\xff", 4));
  CheckExitsWith(daemon, 125);
  CHECK(Contains(daemon.ReadErrors(), "frame_too_large"));
}

TEST_CASE("requests of a newer daemon are ignored") {
  ZygoteDriver daemon(std::vector<std::string>{});
  daemon.channel().SendBytes(
      protocol::EncodeFrame({"of_the_future", 0, 0}, protocol::Done()));
  CHECK(Call(daemon.channel(), "w", MakeSetup("echo", "x")) == "x");
}

TEST_CASE("children that a preload step left do not confuse a zygote") {
  ZygoteDriver daemon(std::vector<std::string>{"leaves_child", "leaves_child"});
  CHECK(Call(daemon.channel(), "w", MakeSetup("echo", "x")) == "x");
  CHECK(daemon.channel().reports == 2);
}

TEST_CASE("of 200 quick workers each is reported once, with its status") {
  ZygoteDriver daemon(std::vector<std::string>{});
  ZygoteChannel& channel = daemon.channel();
  std::string burst;
  for (int i = 0; i < 200; ++i) {
    burst += protocol::EncodeRequest(
        0, 0,
        MakeForkWorker("w" + std::to_string(i),
                       MakeSetup("exit_code", std::to_string(i))));
  }
  channel.SendBytes(burst);
  REQUIRE(channel.WaitFor([&] { return channel.exited.size() == 200; }));
  CHECK(channel.started.size() == 200);
  CHECK(channel.reports == 400);
  for (int i = 0; i < 200; ++i) {
    CHECK(channel.exited["w" + std::to_string(i)].code == i);
  }
}

TEST_CASE("ends are reported while requests keep coming") {
  ZygoteDriver daemon(std::vector<std::string>{});
  ZygoteChannel& channel = daemon.channel();
  int sent = 0;
  // More than one collection's worth in the socket at any time.
  const auto keep_busy = [&] {
    for (; sent < 2000 && sent - static_cast<int>(channel.exited.size()) < 100;
         ++sent) {
      channel.Send(
          MakeForkWorker(std::to_string(sent), MakeSetup("exit_code", "0")));
    }
    return channel.exited.size() >= 300;
  };
  REQUIRE(channel.WaitFor(keep_busy));
  const auto all_ended = [&] {
    return static_cast<int>(channel.exited.size()) == sent;
  };
  CHECK(channel.WaitFor(all_ended));
}

TEST_CASE("300 workers live at once and each is stopped by name") {
  ZygoteDriver daemon(std::vector<std::string>{});
  ZygoteChannel& channel = daemon.channel();
  for (int i = 0; i < 300; ++i) {
    channel.Send(MakeForkWorker(std::to_string(i), MakeSetup("sleep_forever")));
  }
  REQUIRE(channel.WaitFor([&] { return channel.started.size() == 300; }));
  CHECK(Call(channel, "one more", MakeSetup("echo", "x")) == "x");
  for (int i = 0; i < 300; ++i) {
    channel.Send(protocol::SignalWorker{std::to_string(i), SIGTERM, true});
  }
  REQUIRE(channel.WaitFor([&] { return channel.exited.size() == 301; }));
  for (int i = 0; i < 300; ++i) {
    CHECK(channel.exited[std::to_string(i)].signal == SIGTERM);
  }
}
