#include "sdk/cpp/testing/report_page.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "sdk/base/unique_fd.h"
#include "tests/unit/leftovers.h"
#include "tests/unit/run_in_child.h"

namespace forkserver {
namespace {

using protocol::TestProgress;
using testing::NoLeftovers;
using testing::RunInChild;

TestProgress Begun(std::string test) {
  TestProgress progress;
  progress.event = "begun";
  progress.test = std::move(test);
  return progress;
}

TestProgress Failed(std::string test, const std::string& message) {
  TestProgress progress;
  progress.event = "ended";
  progress.test = std::move(test);
  progress.status = "failed";
  progress.failures = {{message, "a_test.cc", 7, "bold > italic"}};
  return progress;
}

TestProgress Complete() {
  TestProgress progress;
  progress.event = "complete";
  return progress;
}

ReportPage MakePage() {
  auto page = ReportPage::Create("page");
  REQUIRE_MESSAGE(page, page.error().ToString());
  return *std::move(page);
}

UniqueFd CopyOf(const ReportPage& page) {
  return UniqueFd(::fcntl(page.fd(), F_DUPFD_CLOEXEC, 0));
}

ReportPageWriter WriterOf(const ReportPage& page) {
  auto writer = ReportPageWriter::Open(CopyOf(page));
  REQUIRE_MESSAGE(writer, writer.error().ToString());
  return *std::move(writer);
}

std::vector<TestProgress> ReadOf(const ReportPage& page) {
  auto records = page.Read();
  REQUIRE_MESSAGE(records, records.error().ToString());
  return *std::move(records);
}

// The page as a process sees it that writes what it likes.
class RawMemory {
 public:
  explicit RawMemory(const ReportPage& page)
      : memory_(static_cast<char*>(::mmap(nullptr, kReportPageBytes,
                                          PROT_READ | PROT_WRITE, MAP_SHARED,
                                          page.fd(), 0))) {
    REQUIRE(memory_ != MAP_FAILED);
  }
  RawMemory(const RawMemory&) = delete;
  RawMemory& operator=(const RawMemory&) = delete;
  ~RawMemory() { ::munmap(memory_, kReportPageBytes); }

  void Store(std::size_t offset, std::uint32_t number) {
    std::memcpy(memory_ + offset, &number, sizeof(number));
  }
  std::uint32_t Load(std::size_t offset) const {
    std::uint32_t number = 0;
    std::memcpy(&number, memory_ + offset, sizeof(number));
    return number;
  }
  char* records() { return memory_ + kReportPageHeaderBytes; }

 private:
  char* const memory_;
};

TEST_CASE("what a worker writes is read, after its death too") {
  const NoLeftovers leftovers;
  const ReportPage page = MakePage();
  CHECK(ReadOf(page).empty());
  const auto outcome = RunInChild([&](int) {
    ReportPageWriter writer = WriterOf(page);
    writer.Write(Begun("Fonts.Load"));
    writer.Write(Failed("Fonts.Load", std::string("not \0 good\n", 11)));
    return ::raise(SIGKILL);
  });
  CHECK(outcome.code() == -SIGKILL);
  const auto records = ReadOf(page);
  REQUIRE(records.size() == 2);
  CHECK(records[0].event == "begun");
  CHECK(records[0].test == "Fonts.Load");
  CHECK(records[1].status == "failed");
  REQUIRE(records[1].failures.size() == 1);
  CHECK(records[1].failures[0].message == std::string("not \0 good\n", 11));
  CHECK(records[1].failures[0].line == 7);
}

TEST_CASE("a worker that closes all descriptors still writes") {
  const ReportPage page = MakePage();
  const auto outcome = RunInChild([&](int) {
    ReportPageWriter writer = WriterOf(page);
    for (int fd = 0; fd < 1024; ++fd) ::close(fd);
    writer.Write(Begun("a"));
    return 0;
  });
  CHECK(outcome.code() == 0);
  CHECK(ReadOf(page).size() == 1);
}

TEST_CASE("a process that the worker forks writes nothing") {
  const NoLeftovers leftovers;
  const ReportPage page = MakePage();
  ReportPageWriter writer = WriterOf(page);
  writer.Write(Begun("a"));
  const auto outcome = RunInChild([&](int) {
    writer.Write(Failed("a", "by the child"));
    writer.Write(Complete());
    return 0;
  });
  CHECK(outcome.code() == 0);
  CHECK(ReadOf(page).size() == 1);
  writer.Write(Complete());
  CHECK(ReadOf(page).size() == 2);
}

TEST_CASE("a record that was not committed is not there") {
  const ReportPage page = MakePage();
  ReportPageWriter writer = WriterOf(page);
  writer.Write(Begun("a"));
  RawMemory memory(page);
  const std::uint32_t committed = memory.Load(12);
  writer.Write(Begun("b"));
  // As if it had died between the bytes of the second and their commit.
  memory.Store(12, committed);
  CHECK(ReadOf(page).size() == 1);
}

TEST_CASE("a damaged page is an error that says what is wrong") {
  const ReportPage page = MakePage();
  ReportPageWriter writer = WriterOf(page);
  writer.Write(Begun("a"));
  RawMemory memory(page);
  std::string says;
  SUBCASE("the header") {
    memory.Store(0, 0x41414141);
    says = "header";
  }
  SUBCASE("the version") {
    memory.Store(4, 2);
    says = "header";
  }
  SUBCASE("more than there is room for") {
    memory.Store(12, 0xffffffff);
    says = "4294967295";
  }
  SUBCASE("a length beyond the end") {
    memory.Store(kReportPageHeaderBytes, 0x7fffffff);
    says = "record 1 claims 2147483647";
  }
  SUBCASE("the middle of a length") {
    memory.Store(12, memory.Load(12) + 2);
    says = "record 2 is cut off";
  }
  SUBCASE("bytes that are no record") {
    memory.records()[4] = '\xc1';
    says = "record 1 cannot be read";
  }
  SUBCASE("an array that is only declared") {
    std::memcpy(memory.records(), "\x05\0\0\0\xdd\xff\xff\xff\xff", 9);
    memory.Store(12, 9);
    says = "record 1 cannot be read";
  }
  const auto records = page.Read();
  REQUIRE_FALSE(records);
  CHECK(records.error().code == error_code::kMalformed);
  CHECK_MESSAGE(records.error().message.find(says) != std::string::npos,
                records.error().message);
}

TEST_CASE("a page that was cleared is as new, and deaf to who wrote before") {
  ReportPage page = MakePage();
  ReportPageWriter before = WriterOf(page);
  before.Write(Failed("a", std::string(200'000, 'x')));
  page.Clear();
  CHECK(ReadOf(page).empty());
  before.Write(Complete());
  CHECK(ReadOf(page).empty());

  // This process again, so that only the page tells the two writers apart.
  ReportPageWriter after = WriterOf(page);
  after.Write(Begun("b"));
  const auto records = ReadOf(page);
  REQUIRE(records.size() == 1);
  CHECK(records[0].test == "b");
}

TEST_CASE("clearing a page repairs its header and gives its memory back") {
  ReportPage page = MakePage();
  {
    ReportPageWriter writer = WriterOf(page);
    for (int i = 0; i < 10; ++i) {
      writer.Write(Failed("a", std::string(kMaxReportText, 'x')));
    }
    RawMemory memory(page);
    memory.Store(0, 7);
  }
  struct stat before = {};
  REQUIRE(::fstat(page.fd(), &before) == 0);
  page.Clear();
  struct stat after = {};
  REQUIRE(::fstat(page.fd(), &after) == 0);
  CHECK(after.st_blocks < before.st_blocks / 4);
  CHECK(ReadOf(page).empty());
}

TEST_CASE("long texts are cut, and what has no room is counted") {
  const ReportPage page = MakePage();
  ReportPageWriter writer = WriterOf(page);
  const std::string name(1u << 20, 'n');
  TestProgress progress = Failed(name, std::string(1u << 20, 'm'));
  progress.failures.resize(100, progress.failures[0]);
  writer.Write(progress);
  writer.Write(Complete());
  const auto records = ReadOf(page);
  REQUIRE(records.size() == 2);
  CHECK(records[0].test == CutForReport(name));
  CHECK(records[0].status == "failed");
  CHECK(records[0].failures[0].message == std::string(kMaxReportText, 'm'));
  CHECK(records[0].failures.size() < 20);
  const std::size_t left_out = 101 - records[0].failures.size();
  CHECK(records[0].failures.back().message ==
        std::to_string(left_out) + " more: there is no room for what they say");
}

TEST_CASE("a page full of failures has room for the status of many tests") {
  const ReportPage page = MakePage();
  ReportPageWriter writer = WriterOf(page);
  for (int i = 0; i < 100; ++i) {
    writer.Write(Failed("a", std::string(kMaxReportText, 'x')));
  }
  for (int i = 0; i < 20'000; ++i) {
    writer.Write(Begun("test " + std::to_string(i)));
    writer.Write(Failed("test " + std::to_string(i), "x"));
  }
  writer.Write(Complete());
  const auto records = ReadOf(page);
  REQUIRE(records.size() == 40'101);
  CHECK(records[40'099].status == "failed");
  REQUIRE(records[40'099].failures.size() == 1);
  CHECK(records[40'099].failures[0].message ==
        "1 more: there is no room for what they say");
  CHECK(records[40'100].event == "complete");
}

TEST_CASE("a page that is full takes no more and stays whole") {
  const ReportPage page = MakePage();
  ReportPageWriter writer = WriterOf(page);
  const std::string name(kMaxReportText, 'n');
  for (int i = 0; i < 200; ++i) writer.Write(Begun(name));
  const auto records = ReadOf(page);
  CHECK(records.size() > 60);
  CHECK(records.size() < 64);
}

TEST_CASE("what is no report page is refused") {
  const NoLeftovers leftovers;
  const auto refused = [](UniqueFd fd) {
    auto writer = ReportPageWriter::Open(std::move(fd));
    REQUIRE_FALSE(writer);
    return writer.error().message;
  };
  CHECK(refused(UniqueFd()).find("Bad file descriptor") != std::string::npos);
  CHECK(refused(UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC)))
            .find("no report page: it has 0 bytes") != std::string::npos);

  const ReportPage page = MakePage();
  CHECK(refused(UniqueFd(::open("/dev/zero", O_RDWR | O_CLOEXEC))).find("0") !=
        std::string::npos);
  {
    RawMemory memory(page);
    memory.Store(0, 1);
  }
  CHECK(refused(CopyOf(page)).find("magic") != std::string::npos);
  {
    RawMemory memory(page);
    memory.Store(0, kReportPageMagic);
    memory.Store(4, 77);
  }
  CHECK(refused(CopyOf(page)).find("version 77") != std::string::npos);
  {
    RawMemory memory(page);
    memory.Store(4, kReportPageVersion);
  }
  const ReportPageWriter writer = WriterOf(page);
  CHECK(refused(CopyOf(page)).find("writes to it") != std::string::npos);
}

TEST_CASE("opening a page closes the descriptor, and a moved writer writes") {
  const NoLeftovers leftovers;
  const ReportPage page = MakePage();
  UniqueFd fd = CopyOf(page);
  const int number = fd.get();
  auto opened = ReportPageWriter::Open(std::move(fd));
  REQUIRE(opened);
  CHECK(::fcntl(number, F_GETFD) == -1);
  ReportPageWriter moved = *std::move(opened);
  moved.Write(Begun("a"));
  CHECK(ReadOf(page).size() == 1);
}

}  // namespace
}  // namespace forkserver
