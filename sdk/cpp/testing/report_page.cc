#include "sdk/cpp/testing/report_page.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "sdk/cpp/testing/report_memory.h"
#include "sdk/protocol/codec.h"

namespace forkserver {
namespace {

using protocol::TestFailure;
using protocol::TestProgress;

struct Header {
  std::uint32_t magic;
  std::uint32_t version;
  std::atomic<std::uint32_t> pid;
  std::atomic<std::uint32_t> committed;
};
static_assert(sizeof(Header) == kReportPageHeaderBytes);
static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

constexpr std::size_t kLengthBytes = 4;
// Everything that a record costs beside its texts, generously.
constexpr std::size_t kRecordOverhead = 256;
// Not more is kept in memory after Clear.
constexpr std::size_t kKeptBytes = 64u << 10;

// The page is memory that is shared with a process that may do anything.
Header& HeaderOf(char* memory) { return *reinterpret_cast<Header*>(memory); }

Result<char*> Map(int fd) {
  void* const memory = ::mmap(nullptr, kReportPageBytes, PROT_READ | PROT_WRITE,
                              MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return SystemError("mmap(report page)", errno);
  return static_cast<char*>(memory);
}

Error Foreign(const std::string& what) {
  return MakeError(error_code::kBadRequest,
                   "the descriptor is no report page: " + what);
}

void Cut(std::string& text) {
  if (text.size() > kMaxReportText) text.resize(kMaxReportText);
}

// Each text cut; of failures as many as fit into `room`, and one more that
// says how many do not.
TestProgress Shortened(const TestProgress& progress, std::size_t room) {
  TestProgress shortened = progress;
  Cut(shortened.event);
  Cut(shortened.test);
  Cut(shortened.status);
  Cut(shortened.skip_reason);
  std::size_t used = kRecordOverhead + shortened.test.size() +
                     shortened.status.size() + shortened.skip_reason.size();
  std::vector<TestFailure>& failures = shortened.failures;
  for (std::size_t i = 0; i < failures.size(); ++i) {
    TestFailure& failure = failures[i];
    Cut(failure.message);
    Cut(failure.file);
    Cut(failure.where);
    used += kRecordOverhead + failure.message.size() + failure.file.size() +
            failure.where.size();
    if (used <= room) continue;
    const std::size_t left_out = failures.size() - i;
    failures.resize(i);
    TestFailure note;
    note.message =
        std::to_string(left_out) + " more: there is no room for what they say";
    failures.push_back(std::move(note));
    break;
  }
  return shortened;
}

}  // namespace

std::string_view CutForReport(std::string_view text) {
  return text.substr(0, kMaxReportText);
}

// --- the worker's side ------------------------------------------------------

Result<ReportPageWriter> ReportPageWriter::Open(UniqueFd fd) {
  struct stat status = {};
  if (::fstat(fd.get(), &status) != 0) {
    return SystemError("fstat(report page)", errno);
  }
  if (status.st_size != static_cast<off_t>(kReportPageBytes)) {
    return Foreign("it has " + std::to_string(status.st_size) + " bytes");
  }
  auto memory = Map(fd.get());
  if (!memory) return memory.error();
  ReportPageWriter writer;
  writer.memory_ = *memory;
  writer.pid_ = static_cast<std::uint32_t>(::getpid());
  Header& header = HeaderOf(writer.memory_);
  if (header.magic != kReportPageMagic) return Foreign("another magic number");
  if (header.version != kReportPageVersion) {
    return Foreign("version " + std::to_string(header.version) +
                   ", this is version " + std::to_string(kReportPageVersion));
  }
  std::uint32_t nobody = 0;
  if (!header.pid.compare_exchange_strong(nobody, writer.pid_)) {
    return Foreign("process " + std::to_string(nobody) + " writes to it");
  }
  return writer;
}

ReportPageWriter::ReportPageWriter(ReportPageWriter&& other) noexcept
    : memory_(std::exchange(other.memory_, nullptr)), pid_(other.pid_) {}

ReportPageWriter::~ReportPageWriter() {
  if (memory_ != nullptr) ::munmap(memory_, kReportPageBytes);
}

void ReportPageWriter::Write(const TestProgress& progress) {
  if (memory_ == nullptr || static_cast<std::uint32_t>(::getpid()) != pid_ ||
      HeaderOf(memory_).pid.load(std::memory_order_relaxed) != pid_) {
    return;
  }
  const std::size_t used =
      HeaderOf(memory_).committed.load(std::memory_order_relaxed);
  const std::size_t room =
      used < kReportPageFailureBytes ? kReportPageFailureBytes - used : 0;
  const std::string record = protocol::EncodeBody(Shortened(progress, room));
  constexpr std::size_t kEnd = kReportPageBytes - kReportPageHeaderBytes;
  if (used > kEnd || kEnd - used < kLengthBytes + record.size()) return;
  char* const at = memory_ + kReportPageHeaderBytes + used;
  const auto length = static_cast<std::uint32_t>(record.size());
  std::memcpy(at, &length, sizeof(length));
  std::copy(record.begin(), record.end(), at + kLengthBytes);
  HeaderOf(memory_).committed.store(
      static_cast<std::uint32_t>(used + kLengthBytes + record.size()),
      std::memory_order_release);
}

// --- the harness's side -----------------------------------------------------

Result<ReportPage> ReportPage::Create(const std::string& name) {
  ReportPage page;
  page.fd_ = MakeReportMemory(name, kReportPageBytes);
  if (!page.fd_) return SystemError("create report page", errno);
  auto memory = Map(page.fd_.get());
  if (!memory) return memory.error();
  page.memory_ = *memory;
  HeaderOf(page.memory_).magic = kReportPageMagic;
  HeaderOf(page.memory_).version = kReportPageVersion;
  return page;
}

ReportPage::ReportPage(ReportPage&& other) noexcept
    : fd_(std::move(other.fd_)),
      memory_(std::exchange(other.memory_, nullptr)) {}

ReportPage::~ReportPage() {
  if (memory_ != nullptr) ::munmap(memory_, kReportPageBytes);
}

void ReportPage::Clear() {
  Header& header = HeaderOf(memory_);
  // First: whoever was forgotten and still lives writes no more.
  header.pid.store(0);
  const std::size_t used =
      header.committed.load(std::memory_order_acquire) + kReportPageHeaderBytes;
  header.committed.store(0);
  header.magic = kReportPageMagic;
  header.version = kReportPageVersion;
  if (used > kKeptBytes) {
    GiveBackReportMemory(fd_.get(), kKeptBytes, kReportPageBytes);
  }
}

Result<std::vector<TestProgress>> ReportPage::Read() const {
  Header& header = HeaderOf(memory_);
  if (header.magic != kReportPageMagic ||
      header.version != kReportPageVersion) {
    return MakeError(error_code::kMalformed,
                     "the report page is damaged: its header is gone");
  }
  const std::size_t committed =
      header.committed.load(std::memory_order_acquire);
  if (committed > kReportPageBytes - kReportPageHeaderBytes) {
    return MakeError(error_code::kMalformed,
                     "the report page is damaged: it claims " +
                         std::to_string(committed) + " bytes");
  }
  // A copy: the bytes may change while they are read.
  const std::string bytes(memory_ + kReportPageHeaderBytes, committed);
  std::vector<TestProgress> records;
  std::size_t at = 0;
  while (at < bytes.size()) {
    const auto damaged = [&](const std::string& how) {
      return MakeError(error_code::kMalformed,
                       "the report page is damaged: record " +
                           std::to_string(records.size() + 1) + " " + how);
    };
    if (bytes.size() - at < kLengthBytes) return damaged("is cut off");
    std::uint32_t length = 0;
    std::memcpy(&length, bytes.data() + at, sizeof(length));
    at += kLengthBytes;
    if (length > bytes.size() - at) {
      return damaged("claims " + std::to_string(length) + " bytes");
    }
    auto record = protocol::DecodeBody<TestProgress>(
        std::string_view(bytes).substr(at, length));
    if (!record) return damaged("cannot be read: " + record.error().message);
    records.push_back(*std::move(record));
    at += length;
  }
  return records;
}

}  // namespace forkserver
