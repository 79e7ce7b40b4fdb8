#include "server/launch/forked_workers.h"

#include <doctest/doctest.h>
#include <forkserver/error.h>

#include <variant>

#include "tests/unit/leftovers.h"

namespace forkserver::server {
namespace {

constexpr ProcessKey kZygote = 1;

struct Fixture {
  testing::NoLeftovers no_leftovers;
  PollSet poll_set = std::move(PollSet::Create()).value();
  Keeper keeper = std::move(Keeper::Start("run")).value();
  Reaper reaper{poll_set, [](ProcessKey key) { return std::uint64_t{key}; }};
  std::vector<LaunchEvent> events;
  ForkedWorkers workers{reaper, keeper, events};
};

TEST_CASE_FIXTURE(Fixture, "without a slot of the keeper there is no worker") {
  std::vector<std::atomic<pid_t>*> slots;
  for (std::size_t i = 0; i < Keeper::kSlots; ++i) {
    slots.push_back(keeper.TakeSlot(i + 1).value());
  }
  CHECK(keeper.TakeSlot(1).error().code == error_code::kLimitReached);
  const auto refused = workers.Add(2, kZygote, /*detach=*/false);
  REQUIRE(!refused);
  CHECK(refused.error().code == error_code::kLimitReached);
  CHECK(!workers.Knows(2));
  CHECK(workers.Add(3, kZygote, /*detach=*/true));
  keeper.GiveSlot(slots.back());
  CHECK(workers.Add(2, kZygote, /*detach=*/false));
}

TEST_CASE_FIXTURE(Fixture, "each worker gives its slot back") {
  for (ProcessKey key = 2; key < Keeper::kSlots + 10; ++key) {
    REQUIRE(workers.Add(key, kZygote, /*detach=*/false));
    workers.OnFailed(kZygote, key, 0, MakeError("own_code", "no"));
    REQUIRE(!workers.Knows(key));
  }
  CHECK(!workers.has_unstarted());
}

TEST_CASE_FIXTURE(Fixture, "a report of another zygote means nothing") {
  REQUIRE(workers.Add(2, kZygote, /*detach=*/false));
  workers.OnStarted(kZygote + 1, {2, 1234, 1, 1});
  workers.OnFailed(kZygote + 1, 2, 0, MakeError("own_code", "no"));
  workers.OnExited(kZygote + 1, 2, 1234, {});
  CHECK(events.empty());
  CHECK(workers.has_unstarted());
}

TEST_CASE_FIXTURE(Fixture, "what a crashed worker left is put together") {
  REQUIRE(workers.Add(2, kZygote, /*detach=*/false));
  workers.OnStarted(kZygote, {2, 1234, 1, 1});
  workers.OnCrash(kZygote, 2, "report", "signal 11 ");
  workers.OnCrash(kZygote + 1, 2, "report", "of another zygote");
  workers.OnCrash(kZygote, 3, "report", "of nobody");
  workers.OnCrash(kZygote, 2, "novelty", "of a newer zygote");
  workers.OnCrash(kZygote, 2, "report", "1 0x0\n");
  const std::string endless(3000, 'x');
  for (int i = 0; i < 10; ++i) {
    workers.OnCrash(kZygote, 2, "traceback", endless);
  }
  EndStatus status;
  status.observed = true;
  status.signal = 11;
  workers.OnExited(kZygote, 2, 1234, status);
  REQUIRE(events.size() == 2);
  const auto& ended = std::get<ProcessEnded>(events.back());
  CHECK(ended.status.crash.report == "signal 11 1 0x0\n");
  CHECK(ended.status.crash.traceback.size() == CrashText::kMaxBytes);
}

TEST_CASE_FIXTURE(Fixture,
                  "workers of a dead zygote that were not detached "
                  "never began") {
  REQUIRE(workers.Add(2, kZygote, /*detach=*/false));
  REQUIRE(workers.Add(3, kZygote, /*detach=*/true));
  workers.OnZygoteDied(kZygote);
  REQUIRE(events.size() == 1);
  CHECK(std::get<ProcessNeverBegan>(events.front()).key == 2);
  CHECK(workers.AwaitsReports(kZygote));
  workers.OnReportsEnded(kZygote);
  REQUIRE(events.size() == 2);
  CHECK(std::get<ProcessNeverBegan>(events.back()).key == 3);
  CHECK(!workers.AwaitsReports(kZygote));
}

}  // namespace
}  // namespace forkserver::server
