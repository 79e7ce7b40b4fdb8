// How a zygote comes to life, or says why not.
#include <doctest/doctest.h>
#include <sys/wait.h>

#include <algorithm>

#include "tests/unit/sdk_cpp/zygote_driver.h"

using namespace forkserver;
using namespace forkserver::testing;

namespace {

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// The error of a zygote that is to fail in a preload step.
protocol::WireError FailToPreload(std::vector<std::string> preload) {
  ZygoteDriver daemon{ZygoteDriver::Options()};
  daemon.channel().Configure(std::move(preload));
  REQUIRE(daemon.channel().WaitFor(
      [&] { return daemon.channel().control_closed; }));
  CHECK(!daemon.channel().ready);
  const auto status = daemon.WaitForEnd();
  REQUIRE(status);
  REQUIRE(WIFEXITED(*status));
  CHECK(WEXITSTATUS(*status) == 125);
  REQUIRE(daemon.channel().zygote_failed);
  return *daemon.channel().zygote_failed;
}

}  // namespace

TEST_CASE("a zygote says hello, preloads in order and offers its entries") {
  ZygoteDriver daemon{ZygoteDriver::Options()};
  ZygoteChannel& channel = daemon.channel();
  REQUIRE(channel.WaitFor([&] { return channel.hello.has_value(); }));
  CHECK(channel.hello->pid == daemon.pid());
  CHECK(channel.hello->min_protocol == 1);
  CHECK(Contains(channel.hello->sdk, "c++"));
  CHECK(!channel.ready);

  channel.Configure({"joins_thread", "ok", "ok"});
  REQUIRE(channel.WaitFor([&] { return channel.ready.has_value(); }));
  const auto& entries = channel.ready->entries;
  CHECK(std::count(entries.begin(), entries.end(), "echo") == 1);
  const auto& preloads = channel.ready->preloads;
  REQUIRE(preloads.size() == 3);
  CHECK(preloads[0].name == "joins_thread");
  CHECK(preloads[0].threads == 1);
  CHECK(preloads[0].wall_us > 0);
  CHECK(preloads[1].name == "ok");
}

TEST_CASE("an unknown preload step is named, and so are the known ones") {
  const auto error = FailToPreload({"ok", "nonsense"});
  CHECK(error.code == "unknown_preload");
  CHECK(Contains(error.message, "nonsense"));
  CHECK(Contains(error.hint, "starts_thread"));
}

TEST_CASE("a preload step that fails is named with its reason") {
  const auto error = FailToPreload({"ok", "fails"});
  CHECK(error.code == "zygote_failed");
  CHECK(error.step == "preload fails");
  CHECK(Contains(error.message, "the model file is missing"));
}

TEST_CASE("a star stands for all preload steps in the order of their adding") {
  // The first that is added does well, the second fails.
  const auto error = FailToPreload({"*"});
  CHECK(error.step == "preload fails");
}

TEST_CASE("a preload step that throws is named with its exception") {
  const auto error = FailToPreload({"throws"});
  CHECK(error.code == "zygote_failed");
  CHECK(error.step == "preload throws");
  CHECK(Contains(error.message, "out of luck"));
}

TEST_CASE("what a preload step leaves behind is told for the audit") {
  ZygoteDriver daemon{ZygoteDriver::Options()};
  ZygoteChannel& channel = daemon.channel();
  channel.Configure({"ok", "starts_thread", "makes_connection"});
  REQUIRE(channel.WaitFor([&] { return channel.ready.has_value(); }));
  const auto& preloads = channel.ready->preloads;
  REQUIRE(preloads.size() == 3);
  CHECK(preloads[0].new_threads.empty());
  CHECK(preloads[0].new_fds.empty());
  REQUIRE(preloads[1].new_threads.size() == 1);
  CHECK(preloads[1].threads == 2);
  // The listener and the connection.
  CHECK(preloads[2].new_fds.size() == 2);
  CHECK(preloads[2].new_threads.empty());
  const auto& threads = channel.ready->threads;
  REQUIRE(threads.size() == 1);
  CHECK(threads[0].id == preloads[1].new_threads[0].id);
  CHECK(threads[0].step == "preload starts_thread");
  // Its control socket, its report pipe and /dev/null.
  CHECK(channel.ready->own_fds.size() == 3);
}

TEST_CASE("a preload step that exits ends the zygote with its exit code") {
  ZygoteDriver daemon{ZygoteDriver::Options()};
  daemon.channel().Configure({"exits"});
  REQUIRE(daemon.channel().WaitFor(
      [&] { return daemon.channel().control_closed; }));
  CHECK(!daemon.channel().zygote_failed);
  const auto status = daemon.WaitForEnd();
  REQUIRE(status);
  REQUIRE(WIFEXITED(*status));
  CHECK(WEXITSTATUS(*status) == 9);
}

TEST_CASE("a protocol that the zygote does not speak is refused") {
  ZygoteDriver daemon{ZygoteDriver::Options()};
  protocol::Configure configure;
  configure.protocol = 99;
  daemon.channel().Send(configure);
  REQUIRE(daemon.channel().WaitFor(
      [&] { return daemon.channel().zygote_failed.has_value(); }));
  CHECK(daemon.channel().zygote_failed->code == "version_mismatch");
}

TEST_CASE("a zygote whose daemon goes away before it is configured ends") {
  ZygoteDriver daemon{ZygoteDriver::Options()};
  daemon.channel().CloseControl();
  const auto status = daemon.WaitForEnd();
  REQUIRE(status);
  REQUIRE(WIFEXITED(*status));
  CHECK(WEXITSTATUS(*status) == 0);
}

TEST_CASE("a malformed channel is a clear error, not a start by hand") {
  const std::string control = "FORKSERVER_ZYGOTE_CONTROL_FD";
  const std::string report = "FORKSERVER_ZYGOTE_REPORT_FD";
  for (const std::vector<std::string>& env :
       {std::vector<std::string>{control + "=x", report + "=2"},
        {control + "=1x", report + "=2"},
        {control + "=-1", report + "=2"},
        {control + "=99999999999", report + "=2"},
        {control + "=700", report + "=2"},
        {control + "=1"},
        {report + "=2"}}) {
    CAPTURE(env[0]);
    const HandRun run = RunZygoteProgram({"echo"}, env);
    REQUIRE(WIFEXITED(run.status));
    CHECK(WEXITSTATUS(run.status) == 125);
    CHECK(Contains(run.errors, "FORKSERVER_ZYGOTE_"));
    CHECK(run.output.empty());
  }
}
