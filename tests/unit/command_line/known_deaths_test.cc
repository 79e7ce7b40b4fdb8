#include "tools/forkserver/known_deaths.h"

#include <doctest/doctest.h>

#include <cctype>
#include <cstdint>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>

namespace forkserver::cli {

extern const char kKnownDeathsJson[];

namespace {

ExitRecord Ended(const std::string& signal, const std::string& top_module = "",
                 const std::string& text = "") {
  ExitRecord record;
  record.reason = EndReason::kSignaled;
  record.crash.emplace();
  record.crash->signal_name = signal;
  if (!top_module.empty()) record.crash->frames = {{top_module, 16}};
  record.crash->stderr_tail = text;
  return record;
}

ExitRecord At(std::int64_t address, ExitRecord record) {
  record.crash->address = address;
  return record;
}

// What each row of the table is there for.
std::map<std::string, ExitRecord> Samples() {
  std::map<std::string, ExitRecord> samples;
  samples["libdispatch"] =
      Ended("SIGSEGV", "/usr/lib/system/libdispatch.dylib");
  samples["libdispatch-address"] =
      At(0x110, Ended("SIGSEGV", "/usr/lib/x86_64-linux-gnu/libobjc.so"));
  samples["libdispatch-address"].crash->frames.push_back(
      {"/opt/swift/libdispatch.so", 1});
  samples["objc-initialize"] = Ended(
      "SIGABRT", "",
      "objc[17]: +[__NSCFConstantString initialize] may have been in progress "
      "in another thread when fork() was called.\n");
  samples["fork-pre-exec"] = Ended("SIGSEGV", "",
                                   "*** multi-threaded process forked ***\n"
                                   "crashed on child side of fork pre-exec\n");
  samples["corefoundation"] =
      Ended("SIGTRAP", "",
            "The process has forked and you cannot use this "
            "CoreFoundation functionality safely. "
            "YOU MUST exec().\n");
  samples["libgomp"] = Ended("SIGTERM", "/lib/libgomp.so.1.0.0");
  samples["libgomp"].reason = EndReason::kTimeout;
  samples["xcb"] = Ended("SIGABRT", "",
                         "[xcb] Unknown sequence number while processing "
                         "queue\n[xcb] Aborting, sorry about that.\n");
  samples["tls-record"] = Ended("", "",
                                "ssl.SSLError: [SSL: "
                                "SSLV3_ALERT_BAD_RECORD_MAC] sslv3 "
                                "alert bad record mac (_ssl.c:2548)\n");
  samples["grpc"] = Ended("SIGABRT", "",
                          "I1 fork_posix.cc:63] Other threads are currently "
                          "calling into gRPC, skipping fork() handlers\n");
  samples["cuda"] = Ended(
      "", "", "RuntimeError: Cannot re-initialize CUDA in forked subprocess.");
  samples["mutex-owner"] = Ended("SIGABRT", "",
                                 "a.out: ../nptl/pthread_mutex_lock.c:94: "
                                 "___pthread_mutex_lock: Assertion "
                                 "`mutex->__data.__owner == 0' failed.\n");
  samples["python-fatal"] = Ended("SIGABRT", "", "");
  samples["python-fatal"].crash->traceback =
      "Fatal Python error: PyEval_RestoreThread: the function must be called "
      "with the GIL held\n";
  samples["killed"] = Ended("SIGKILL");
  return samples;
}

std::set<std::string> Found(const ExitRecord& record) {
  std::set<std::string> ids;
  for (const KnownDeath& known : FindKnownDeaths(record)) ids.insert(known.id);
  return ids;
}

TEST_CASE("each row of the table is recognised, and no other by its sample") {
  const auto samples = Samples();
  for (const auto& row : nlohmann::json::parse(kKnownDeathsJson)) {
    const std::string id = row.at("id");
    CAPTURE(id);
    CHECK(row.at("source").get<std::string>().size() > 5);
    const auto sample = samples.find(id);
    REQUIRE(sample != samples.end());
    CHECK(Found(sample->second) == std::set<std::string>{id});
  }
}

TEST_CASE("each row has its section in docs/fork_safety.md") {
  std::ifstream file("docs/fork_safety.md");
  std::stringstream page;
  page << file.rdbuf();
  std::set<std::string> anchors;
  for (std::string line; std::getline(page, line);) {
    if (line.rfind("### ", 0) != 0) continue;
    std::string anchor;
    for (const char letter : line.substr(4)) {
      if (letter == ' ') anchor += '-';
      if (std::isalnum(static_cast<unsigned char>(letter)) || letter == '-') {
        anchor +=
            static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
      }
    }
    anchors.insert(anchor);
  }
  for (const auto& row : nlohmann::json::parse(kKnownDeathsJson)) {
    const std::string anchor = row.at("anchor");
    CAPTURE(anchor);
    CHECK(anchors.count(anchor) == 1);
  }
}

TEST_CASE("an ordinary crash is none of them") {
  CHECK(Found(At(0x110, Ended("SIGSEGV", "/home/me/render"))).empty());
  CHECK(
      Found(Ended("SIGABRT", "/lib/libc.so.6", "terminate called\n")).empty());
  ExitRecord python = Ended("SIGSEGV", "/usr/bin/python3.11");
  python.crash->traceback = "Fatal Python error: Segmentation fault\n";
  CHECK(Found(python).empty());
  // It crashed in libgomp, and did not wait there.
  CHECK(Found(Ended("SIGSEGV", "/lib/libgomp.so.1")).empty());
  CHECK(Found(ExitRecord()).empty());
}

TEST_CASE("a line of any length is searched within bounds") {
  const std::string text(8192, 'x');
  CHECK(Found(Ended("SIGABRT", "", text + "\nbad record mac\n")) ==
        std::set<std::string>{"tls-record"});
  CHECK(Found(Ended("SIGABRT", "", "pthread_mutex_lock" + text)).empty());
}

}  // namespace
}  // namespace forkserver::cli
