#include "sdk/process/audit/audit.h"

#include <doctest/doctest.h>

#include <string>

#include "sdk/process/audit/known_cases.h"

namespace forkserver::audit {
namespace {

ProcessFacts Threaded(ThreadFact thread) {
  ProcessFacts facts;
  facts.pid = 100;
  facts.threads.push_back(std::move(thread));
  return facts;
}

ProcessFacts Holding(DescriptorFact descriptor) {
  ProcessFacts facts;
  facts.descriptors.push_back(std::move(descriptor));
  return facts;
}

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("a process without threads, descriptors and libraries is safe") {
  const Audit audit = Judge(ProcessFacts(), {});
  CHECK(audit.verdict == AuditVerdict::kSafe);
  CHECK(Describe(audit).empty());
}

TEST_CASE("a thread that nothing explains is unsafe, and named") {
  const Audit audit =
      Judge(Threaded({101, "stray", "/opt/libstray.so", 0x10, "sleeps"}), {});
  REQUIRE(audit.verdict == AuditVerdict::kUnsafe);
  REQUIRE(audit.reasons.size() == 1);
  CHECK(audit.reasons[0].kind == "thread");
  CHECK(audit.reasons[0].what == "thread 101 'stray'");
  CHECK(audit.reasons[0].where ==
        "started by /opt/libstray.so+0x10; it sleeps");
  CHECK(audit.reasons[0].known_as.empty());
  CHECK_FALSE(audit.reasons[0].why.empty());
  CHECK_FALSE(audit.reasons[0].advice.empty());
}

TEST_CASE("a thread of a library that survives is a note") {
  const Audit audit = Judge(
      Threaded({101, "python3", "/usr/lib/libopenblasp-r0.3.21.so", 1, ""}),
      {});
  CHECK(audit.verdict == AuditVerdict::kSafe);
  REQUIRE(audit.notes.size() == 1);
  CHECK(audit.notes[0].known_as == "openblas");
}

TEST_CASE("where memory cannot be read an unknown thread is not judged") {
  ProcessFacts facts = Threaded({101, "python3", "", 0, ""});
  facts.memory_readable = false;
  const Audit audit = Judge(facts, {});
  CHECK(audit.verdict == AuditVerdict::kUnknown);
  REQUIRE(audit.unreadable.size() == 1);
  CHECK(Contains(audit.unreadable[0], "thread 101"));
  // Its name alone may say enough.
  facts.threads[0].name = "gdbus";
  CHECK(Judge(facts, {}).verdict == AuditVerdict::kUnsafe);
}

TEST_CASE("threads that are alike are one reason") {
  ProcessFacts facts;
  for (int i = 0; i < 10'000; ++i) {
    facts.threads.push_back({200 + i, "pool", "/opt/libpool.so", 1, ""});
  }
  facts.threads.push_back({7, "other", "/opt/libpool.so", 1, ""});
  const Audit audit = Judge(facts, {});
  CHECK(audit.reasons.size() == 2);
  CHECK(Contains(Describe(audit), "10000 threads 'pool'"));
}

TEST_CASE("what the process says of a thread counts") {
  OwnWords words;
  words.threads[101] = {101, "crew_0", "shop.jobs", "preload shop", false};
  const ProcessFacts facts =
      Threaded({101, "python3", "/usr/bin/python3", 1, ""});
  Audit audit = Judge(facts, words);
  REQUIRE(audit.reasons.size() == 1);
  CHECK(audit.reasons[0].what == "thread 101 'crew_0'");
  CHECK(Contains(audit.reasons[0].where, "shop.jobs"));
  CHECK(audit.reasons[0].step == "preload shop");
  CHECK(audit.reasons[0].known_as == "python");
  words.threads[101].survives = true;
  CHECK(Judge(facts, words).verdict == AuditVerdict::kSafe);
}

TEST_CASE("a library that says that it was used is unsafe without a thread") {
  ProcessFacts facts;
  facts.libraries.push_back({"/usr/lib/libdispatch.so", true});
  OwnWords words;
  words.library_steps["/usr/lib/libdispatch.so"] = "preload proxies";
  const Audit audit = Judge(facts, words);
  REQUIRE(audit.reasons.size() == 1);
  CHECK(audit.reasons[0].known_as == "libdispatch");
  CHECK(audit.reasons[0].step == "preload proxies");
  facts.libraries[0].used = false;
  CHECK(Judge(facts, {}).verdict == AuditVerdict::kSafe);
  facts.libraries[0].used.reset();
  CHECK(Judge(facts, {}).verdict == AuditVerdict::kUnknown);
  // Asked from within, that counts.
  words.library_answers["_dispatch_is_multithreaded"] = false;
  CHECK(Judge(facts, words).verdict == AuditVerdict::kSafe);
}

TEST_CASE("macOS: a library answers though no file of it is mapped") {
  OwnWords words;
  words.library_answers["pthread_is_threaded_np"] = true;
  const Audit audit = Judge(ProcessFacts(), words);
  REQUIRE(audit.reasons.size() == 1);
  CHECK(audit.reasons[0].known_as == "objc");
  CHECK(Contains(audit.reasons[0].what, "libobjc"));
}

TEST_CASE("macOS: CoreFoundation does not tell whether it was used") {
  ProcessFacts facts;
  facts.libraries.push_back(
      {"/System/Library/Frameworks/CoreFoundation.framework/Versions/A/"
       "CoreFoundation",
       std::nullopt});
  CHECK(Judge(facts, {}).verdict == AuditVerdict::kUnknown);
}

TEST_CASE("descriptors") {
  struct Expected {
    DescriptorKind kind;
    AuditVerdict verdict;
    bool noted;
  };
  for (const Expected& each : std::initializer_list<Expected>{
           {DescriptorKind::kConnected, AuditVerdict::kUnsafe, false},
           {DescriptorKind::kEventPoll, AuditVerdict::kUnsafe, false},
           {DescriptorKind::kEventFd, AuditVerdict::kUnsafe, false},
           {DescriptorKind::kTimerFd, AuditVerdict::kUnsafe, false},
           {DescriptorKind::kInotify, AuditVerdict::kUnsafe, false},
           {DescriptorKind::kIoUring, AuditVerdict::kUnsafe, false},
           {DescriptorKind::kUserFault, AuditVerdict::kUnsafe, false},
           {DescriptorKind::kListening, AuditVerdict::kSafe, true},
           {DescriptorKind::kDatagram, AuditVerdict::kSafe, true},
           {DescriptorKind::kSharedMemory, AuditVerdict::kSafe, true},
           {DescriptorKind::kFile, AuditVerdict::kSafe, true},
           {DescriptorKind::kPipe, AuditVerdict::kSafe, false},
           {DescriptorKind::kTerminal, AuditVerdict::kSafe, false},
           {DescriptorKind::kDevice, AuditVerdict::kSafe, false},
           {DescriptorKind::kOther, AuditVerdict::kSafe, false},
           {DescriptorKind::kUnknownSocket, AuditVerdict::kUnknown, false}}) {
    CAPTURE(static_cast<int>(each.kind));
    const ProcessFacts facts = Holding({5, each.kind, "x", ""});
    const Audit audit = Judge(facts, {});
    CHECK(audit.verdict == each.verdict);
    CHECK(audit.notes.size() == (each.noted ? 1 : 0));
    // Its streams, and what it was given, are not its own.
    CHECK(Judge(Holding({2, each.kind, "x", ""}), {}).verdict ==
          AuditVerdict::kSafe);
    OwnWords words;
    words.given_fds.insert(5);
    CHECK(Judge(facts, words).verdict == AuditVerdict::kSafe);
  }
}

TEST_CASE("a descriptor has the step that opened it") {
  OwnWords words;
  words.fd_steps[5] = "preload db";
  const Audit audit =
      Judge(Holding({5, DescriptorKind::kConnected, "TCP a -> b", "b"}), words);
  REQUIRE(audit.reasons.size() == 1);
  CHECK(audit.reasons[0].step == "preload db");
  CHECK(Describe(audit.reasons[0])
            .find("descriptor 5, connection, TCP a -> "
                  "b, in preload db") == 0);
}

TEST_CASE("a connection is told by its other end, or by who may own it") {
  const auto known_as = [](const ProcessFacts& facts) {
    const Audit audit = Judge(facts, {});
    REQUIRE(audit.reasons.size() == 1);
    return audit.reasons[0].known_as;
  };
  CHECK(known_as(Holding({5, DescriptorKind::kConnected, "Unix stream",
                          "@/tmp/.X11-unix/X99"})) == "x11");
  CHECK(known_as(Holding({5, DescriptorKind::kConnected, "TCP a",
                          "127.0.0.1:5432"})) == "postgres");
  CHECK(known_as(Holding({5, DescriptorKind::kDevice, "/dev/nvidia0", ""})) ==
        "cuda");
  ProcessFacts facts =
      Holding({5, DescriptorKind::kConnected, "TCP a", "10.0.0.1:443"});
  CHECK(known_as(facts).empty());
  facts.libraries.push_back({"/usr/lib/libssl.so.3", std::nullopt});
  CHECK(known_as(facts) == "tls");
  // A server's own port is no connection to a server.
  CHECK(Judge(Holding({5, DescriptorKind::kListening, "TCP 0.0.0.0:5432", ""}),
              {})
            .verdict == AuditVerdict::kSafe);
}

TEST_CASE("a lock that somebody waits for, and work-arounds") {
  ProcessFacts facts;
  facts.locks.push_back({"/opt/libfoo.so", 101, 100});
  Audit audit = Judge(facts, {});
  REQUIRE(audit.reasons.size() == 1);
  CHECK(audit.reasons[0].kind == "lock");
  CHECK(Contains(audit.reasons[0].where, "held by thread 101"));

  facts = {};
  facts.environment = {"PATH=/bin", "OBJC_DISABLE_INITIALIZE_FORK_SAFETY=YES",
                       "no_proxy=*", "NO_PROXY=localhost", "OMP_NUM_THREADS=1"};
  audit = Judge(facts, {});
  CHECK(audit.verdict == AuditVerdict::kSafe);
  REQUIRE(audit.notes.size() == 3);
  CHECK(audit.notes[0].known_as == "objc-work-around");
  CHECK(audit.notes[1].what == "no_proxy=*");
  CHECK(audit.notes[2].known_as == "one-openmp-thread");
}

// An example of what a pattern matches.
std::string ExampleOf(const std::string& pattern) {
  std::string text;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '[') {
      text += pattern[i + 1];
      i = pattern.find(']', i + 2);
    } else if (pattern[i] == '*') {
      text += "x";
    } else {
      text += pattern[i];
    }
  }
  return text;
}

TEST_CASE("each row of the table is found by each of its patterns") {
  for (const KnownCase& known : KnownCases()) {
    CAPTURE(known.id);
    const auto found = [&known](const ProcessFacts& facts) {
      const Audit audit = Judge(facts, {});
      for (const auto* const list : {&audit.reasons, &audit.notes}) {
        for (const AuditFinding& finding : *list) {
          if (finding.known_as == known.id) return true;
        }
      }
      return Contains(Describe(audit), known.title);
    };
    for (const std::string& pattern : known.thread) {
      CAPTURE(pattern);
      CHECK(found(Threaded({101, ExampleOf(pattern), "", 0, ""})));
    }
    for (const std::string& pattern : known.thread_of) {
      CAPTURE(pattern);
      CHECK(found(Threaded({101, "", "/lib/" + ExampleOf(pattern), 1, ""})));
    }
    for (const std::string& pattern : known.library) {
      CAPTURE(pattern);
      ProcessFacts facts;
      facts.libraries.push_back({"/lib/" + ExampleOf(pattern), std::nullopt});
      if (!known.asks.empty()) facts.libraries[0].used = true;
      CHECK(found(facts));
    }
    for (const std::string& pattern : known.descriptor) {
      CAPTURE(pattern);
      CHECK(found(
          Holding({5, DescriptorKind::kConnected, "", ExampleOf(pattern)})));
    }
    for (const std::string& pattern : known.explains) {
      CAPTURE(pattern);
      ProcessFacts facts =
          Holding({5, DescriptorKind::kConnected, "TCP", "10.0.0.1:443"});
      facts.libraries.push_back({"/lib/" + ExampleOf(pattern), std::nullopt});
      CHECK(found(facts));
    }
    for (const std::string& pattern : known.environment) {
      CAPTURE(pattern);
      ProcessFacts facts;
      facts.environment.push_back(ExampleOf(pattern));
      CHECK(found(facts));
    }
  }
}

}  // namespace
}  // namespace forkserver::audit
