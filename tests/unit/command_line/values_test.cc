#include "tools/forkserver/values.h"

#include <doctest/doctest.h>

#include <csignal>
#include <cstdint>
#include <string>

namespace forkserver::cli {
namespace {

// -1 for an error.
std::int64_t Milliseconds(const std::string& text) {
  const auto duration = ParseDuration(text);
  return duration ? duration->count() : -1;
}

TEST_CASE("a duration has a unit, or is seconds") {
  CHECK(Milliseconds("2s") == 2'000);
  CHECK(Milliseconds("500ms") == 500);
  CHECK(Milliseconds("1m") == 60'000);
  CHECK(Milliseconds("2h") == 7'200'000);
  CHECK(Milliseconds("3") == 3'000);
  CHECK(Milliseconds("0") == 0);
  CHECK(Milliseconds("0.1") == 100);
  CHECK(Milliseconds("1.5m") == 90'000);
}

TEST_CASE("what is not a duration is refused by name") {
  for (const char* text :
       {"", "s", "-1", "1x", "1.", ".5", "1.2.3", "1 s", "99999999999999999999",
        "9223372036854775807", "1e3", "inf", "0x10", "+1"}) {
    CAPTURE(text);
    CHECK(Milliseconds(text) == -1);
  }
  CHECK(ParseDuration("soon").error().message.find("'soon'") == 0);
}

TEST_CASE("an interval is a duration that is not too short") {
  CHECK(ParseInterval("100ms")->count() == 100);
  CHECK(ParseInterval("2m")->count() == 120'000);
  CHECK(ParseInterval("99ms").error().message == "'99ms' is not 100ms or more");
  CHECK_FALSE(ParseInterval("soon").has_value());
}

TEST_CASE("a signal is a name or a number") {
  CHECK(*ParseSignal("TERM") == SIGTERM);
  CHECK(*ParseSignal("SIGTERM") == SIGTERM);
  CHECK(*ParseSignal("sigusr1") == SIGUSR1);
  CHECK(*ParseSignal("9") == 9);
  CHECK(*ParseSignal("0") == 0);
  for (const char* text : {"", "SIG", "TERMINATE", "-9", "65536", "9x"}) {
    CAPTURE(text);
    CHECK_FALSE(ParseSignal(text));
  }
  CHECK(SignalName(SIGTERM) == "SIGTERM");
  CHECK(SignalName(60) == "signal 60");
}

TEST_CASE("a umask is octal") {
  CHECK(*ParseUmask("022") == 022);
  CHECK(*ParseUmask("0") == 0);
  for (const char* text : {"", "9", "01000", "-1", "0x1f"}) {
    CAPTURE(text);
    CHECK_FALSE(ParseUmask(text));
  }
}

TEST_CASE("a limit is soft, or soft and hard") {
  const auto both = ParseLimit("nofile=1024:4096");
  REQUIRE(both);
  CHECK(both->first == "nofile");
  CHECK(both->second.soft == 1024);
  CHECK(both->second.hard == 4096);
  const auto one = ParseLimit("as=2G");
  REQUIRE(one);
  CHECK(one->second.soft == std::int64_t{2} << 30);
  CHECK(one->second.hard == std::int64_t{2} << 30);
  const auto unlimited = ParseLimit("core=1K:unlimited");
  REQUIRE(unlimited);
  CHECK(unlimited->second.soft == 1024);
  CHECK(unlimited->second.hard == -1);
  for (const char* text :
       {"", "nofile", "=1", "nofile=", "nofile=1:", "nofile=-1", "nofile=1:2:3",
        "nofile=2X", "as=9223372036854775807G"}) {
    CAPTURE(text);
    CHECK_FALSE(ParseLimit(text));
  }
}

TEST_CASE("processor time is percent, or CPUs") {
  CHECK(*ParseCpuShare("50%") == 50);
  CHECK(*ParseCpuShare("250%") == 250);
  CHECK(*ParseCpuShare("2") == 200);
  CHECK(*ParseCpuShare("1.5") == 150);
  CHECK(*ParseCpuShare("0.05") == 5);
  for (const char* text : {"", "0", "0%", "%", "-1", "1.", "1.234", "0.00",
                           "1.-5", "a", "8193", "99999999999999999999"}) {
    CAPTURE(text);
    CHECK_FALSE(ParseCpuShare(text));
  }
}

TEST_CASE("CPUs are numbers and ranges, ascending") {
  CHECK(*ParseCpus("0") == std::vector<int>{0});
  CHECK(*ParseCpus("7,0-2,1") == std::vector<int>{0, 1, 2, 7});
  CHECK(ParseCpus("0-8191")->size() == 8192);
  for (const char* text : {"", ",", "0,", "a", "2-1", "-1", "1-", "8192",
                           "0-99999999999", "0 1", "0--1"}) {
    CAPTURE(text);
    CHECK_FALSE(ParseCpus(text));
  }
}

TEST_CASE("an I/O priority is a class, and a level where it has one") {
  const auto idle = ParseIoPriority("idle");
  REQUIRE(idle);
  CHECK(idle->io_class == IoClass::kIdle);
  const auto usual = ParseIoPriority("best-effort");
  REQUIRE(usual);
  CHECK(usual->io_class == IoClass::kBestEffort);
  CHECK(usual->level == 4);
  const auto first = ParseIoPriority("realtime:0");
  REQUIRE(first);
  CHECK(first->io_class == IoClass::kRealtime);
  CHECK(first->level == 0);
  for (const char* text : {"", "idle:1", "best-effort:", "best-effort:8",
                           "best_effort", "realtime:-1", "none", "3"}) {
    CAPTURE(text);
    CHECK_FALSE(ParseIoPriority(text));
  }
}

}  // namespace
}  // namespace forkserver::cli
