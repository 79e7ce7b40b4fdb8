#include "tools/harness/run/clocks.h"

#include <doctest/doctest.h>

namespace forkserver::harness {
namespace {

std::int64_t now_ns = 0;
std::int64_t Now() { return now_ns; }

TEST_CASE("the clock of a run stands still while the run does") {
  now_ns = 1000;
  RunClock clock(Now);
  CHECK(clock.NowNs() == 1000);
  now_ns = 1500;
  clock.Stop();
  now_ns = 9000;
  CHECK(clock.NowNs() == 1500);
  clock.GoOn();
  CHECK(clock.NowNs() == 1500);
  now_ns = 9100;
  CHECK(clock.NowNs() == 1600);
  clock.Stop();
  now_ns = 10'000;
  clock.GoOn();
  clock.GoOn();
  CHECK(clock.NowNs() == 1600);
}

TEST_CASE("the earliest time is waited for, and not a moment less") {
  NextTime next;
  CHECK(next.TimeoutMs(0) == -1);
  next.Consider(5'000'001);
  next.Consider(9'000'000);
  CHECK(next.TimeoutMs(0) == 6);
  CHECK(next.TimeoutMs(5'000'001) == 0);
  CHECK(next.TimeoutMs(7'000'000) == 0);
  NextTime far;
  far.Consider(std::int64_t{1} << 62);
  CHECK(far.TimeoutMs(0) == 60'000);
}

}  // namespace
}  // namespace forkserver::harness
