// A zygote that is forked from a zygote.
#include <doctest/doctest.h>
#include <sys/wait.h>

#include <csignal>
#include <string>

#include "tests/unit/sdk_cpp/zygote_driver.h"

using namespace forkserver;
using namespace forkserver::testing;

namespace {

ZygoteChannel ForkZygote(ZygoteChannel& parent, const std::string& id,
                         const protocol::Setup& setup) {
  UniqueFd control;
  UniqueFd report;
  ZygoteChannel channel = ZygoteChannel::Make(control, report);
  protocol::ForkZygote request;
  request.worker = id;
  request.setup.data = protocol::EncodeBody(setup);
  parent.Send(request, {control.get(), report.get()});
  return channel;
}

ZygoteChannel ForkReadyZygote(ZygoteChannel& parent, const std::string& id,
                              std::vector<std::string> preload = {}) {
  ZygoteChannel channel = ForkZygote(parent, id, MakeSetup(""));
  channel.Configure(std::move(preload));
  REQUIRE(channel.WaitFor([&] { return channel.ready.has_value(); }));
  return channel;
}

}  // namespace

TEST_CASE("a zygote is forked from a zygote, preloads more and serves") {
  ZygoteDriver daemon(std::vector<std::string>{"ok"});
  daemon.channel().Send(MakeForkWorker("sleeper", MakeSetup("sleep_forever")));
  ZygoteChannel nested =
      ForkReadyZygote(daemon.channel(), "z1", {"joins_thread"});
  CHECK(nested.hello->pid != daemon.pid());
  REQUIRE(nested.ready->preloads.size() == 1);
  CHECK(nested.ready->preloads[0].name == "joins_thread");
  CHECK(Call(nested, "w", MakeSetup("echo", "nested")) == "nested");
  // Its workers have no descriptor of either zygote, only their result.
  const std::string fds = Call(nested, "fds", MakeSetup("print_fds"));
  CHECK(fds.substr(0, 6) == "0 1 2 ");
  CHECK(fds.find(' ', 6) == std::string::npos);
  // Its parent's workers are not its own.
  nested.Send(protocol::SignalWorker{"sleeper", SIGKILL, false});
  CHECK(Call(daemon.channel(), "w", MakeSetup("echo", "parent")) == "parent");
  CHECK(daemon.channel().exited.count("sleeper") == 0);

  nested.Send(protocol::Retire());
  REQUIRE(daemon.channel().WaitForExited("z1"));
  CHECK(daemon.channel().exited["z1"].code == 0);
  CHECK(daemon.channel().exited["z1"].pid == nested.hello->pid);
}

TEST_CASE("a zygote of a zygote of a zygote serves, and all end together") {
  ZygoteDriver daemon(std::vector<std::string>{});
  ZygoteChannel second = ForkReadyZygote(daemon.channel(), "z2");
  ZygoteChannel third = ForkReadyZygote(second, "z3");
  CHECK(Call(third, "w", MakeSetup("echo", "x")) == "x");
  third.Send(MakeForkWorker("sleeper", MakeSetup("sleep_forever")));
  REQUIRE(third.WaitForStarted("sleeper"));
  ::kill(daemon.pid(), SIGKILL);
  // The pipes close when the last process that holds them has ended.
  CHECK(second.WaitFor([&] { return second.report_closed; }));
  CHECK(third.WaitFor([&] { return third.report_closed; }));
}

TEST_CASE("a nested zygote that fails to preload is reported by both") {
  ZygoteDriver daemon(std::vector<std::string>{});
  ZygoteChannel nested = ForkZygote(daemon.channel(), "z", MakeSetup(""));
  nested.Configure({"fails"});
  REQUIRE(nested.WaitFor([&] { return nested.zygote_failed.has_value(); }));
  CHECK(nested.zygote_failed->step == "preload fails");
  REQUIRE(daemon.channel().WaitForExited("z"));
  CHECK(daemon.channel().exited["z"].code == 125);
}

TEST_CASE("a nested zygote whose set-up fails says so on its own channel") {
  ZygoteDriver::Options options;
  options.env = {"FROZEN_A=1"};
  ZygoteDriver daemon(options);
  daemon.channel().Configure();
  auto setup = MakeSetup("");
  ZygoteChannel stale = ForkZygote(daemon.channel(), "stale", setup);
  REQUIRE(stale.WaitFor([&] { return stale.zygote_failed.has_value(); }));
  CHECK(stale.zygote_failed->code == "stale_environment");
  CHECK(!stale.hello);

  setup.env = {"FROZEN_A=1"};
  setup.cwd = "/nonexistent";
  ZygoteChannel lost = ForkZygote(daemon.channel(), "lost", setup);
  REQUIRE(lost.WaitFor([&] { return lost.zygote_failed.has_value(); }));
  CHECK(lost.zygote_failed->step == "chdir");
  REQUIRE(daemon.channel().WaitForExited("stale"));
  REQUIRE(daemon.channel().WaitForExited("lost"));
}

TEST_CASE("a retired zygote forks no zygote either") {
  ZygoteDriver daemon(std::vector<std::string>{});
  daemon.channel().Send(MakeForkWorker("sleeper", MakeSetup("sleep_forever")));
  daemon.channel().Send(protocol::Retire());
  ZygoteChannel nested = ForkZygote(daemon.channel(), "z", MakeSetup(""));
  REQUIRE(daemon.channel().WaitForFailed("z"));
  CHECK(daemon.channel().failed["z"].error.code == "zygote_retired");
}

TEST_CASE("a request for a zygote without channels is refused") {
  ZygoteDriver daemon(std::vector<std::string>{});
  protocol::ForkZygote request;
  request.worker = "z";
  request.setup.data = protocol::EncodeBody(MakeSetup(""));
  daemon.channel().Send(request);
  REQUIRE(daemon.channel().WaitForFailed("z"));
  CHECK(daemon.channel().failed["z"].error.code == "bad_descriptor");
}
