#include "server/supervisor/crash_record.h"

#include <doctest/doctest.h>

#include <csignal>
#include <random>
#include <string>

#include "sdk/protocol/codec.h"

namespace forkserver::server {
namespace {

EndStatus Crashed(std::string report, int signal = SIGSEGV) {
  EndStatus status;
  status.observed = true;
  status.signal = signal;
  status.crash.report = std::move(report);
  return status;
}

constexpr char kReport[] =
    "signal 11 1 0x110\nthread 7 a name\nat /lib/a b.so 0x20\n"
    "frame /lib/a b.so 0x10\nframe - 0x7fff\nstderr\nframe /x 0x1\nend\n";

TEST_CASE("a report becomes names, numbers and places") {
  const CrashReport crash = MakeCrashReport(Crashed(kReport));
  CHECK(crash.signal_name == "SIGSEGV");
  CHECK(crash.code_name == "SEGV_MAPERR");
  CHECK(crash.address == 0x110);
  CHECK(crash.address_module == "/lib/a b.so");
  CHECK(crash.thread == "a name");
  REQUIRE(crash.frames.size() == 2);
  CHECK(crash.frames[0].module == "/lib/a b.so");
  CHECK(crash.frames[0].offset == 0x10);
  CHECK(crash.frames[1].module.empty());
  CHECK(crash.frames[1].offset == 0x7fff);
  CHECK(crash.stderr_tail == "frame /x 0x1\nend\n");
}

TEST_CASE("what is of another signal is not of this one") {
  const CrashReport crash = MakeCrashReport(Crashed(kReport, SIGKILL));
  CHECK(crash.signal_name == "SIGKILL");
  CHECK(crash.code_name.empty());
  CHECK(!crash.address);
}

TEST_CASE("a report of any bytes makes a record that can be sent") {
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::string text = kReport;
    for (int change = 0; change < 8; ++change) {
      const std::size_t at = random() % text.size();
      switch (random() % 3) {
        case 0:
          text[at] = static_cast<char>(random());
          break;
        case 1:
          text.erase(at, random() % 20);
          break;
        default:
          text.insert(at, text.substr(random() % text.size(), 30));
      }
      if (text.empty()) text = "x";
    }
    ExitRecord record;
    record.crash = MakeCrashReport(Crashed(text));
    const auto decoded =
        protocol::DecodeBody<ExitRecord>(protocol::EncodeBody(record));
    REQUIRE(decoded);
    REQUIRE(decoded->crash);
    CHECK(decoded->crash->frames.size() == record.crash->frames.size());
  }
}

}  // namespace
}  // namespace forkserver::server
