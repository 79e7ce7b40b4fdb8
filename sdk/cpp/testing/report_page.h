// The report page: shared memory on which a worker tells what its framework
// says of each test. A test cannot close it, as it could a descriptor, and what
// was written stays when the process dies.
//
// Layout, native byte order: u32 magic 'F''S''T''R', u32 version (1), u32 pid
// of the only process that may write, u32 committed bytes of records (stored
// last, with release order); then records: u32 length, a msgpack TestProgress.
// A process that the test forked does not write: it is not that pid.
#pragma once

#include <forkserver/result.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/protocol/test_messages.h"

namespace forkserver {

inline constexpr std::uint32_t kReportPageMagic = 0x52545346;  // "FSTR"
inline constexpr std::uint32_t kReportPageVersion = 1;
inline constexpr std::size_t kReportPageHeaderBytes = 16;
// Sparse: what is not written costs nothing.
inline constexpr std::size_t kReportPageBytes = 16u << 20;
// Failures have this much room, what is behind it is for the rest.
inline constexpr std::size_t kReportPageFailureBytes = 4u << 20;
// A text of a record is cut to this.
inline constexpr std::size_t kMaxReportText = 256u << 10;

// A text as a record has it: its beginning. Compare names by it.
std::string_view CutForReport(std::string_view text);

// The worker's side. Movable, not thread-safe. Write does not block.
class ReportPageWriter {
 public:
  // Maps it, becomes the only writer, and closes `fd`. Errors: it is no report
  // page, or somebody has written to it already.
  static Result<ReportPageWriter> Open(UniqueFd fd);
  ReportPageWriter(ReportPageWriter&& other) noexcept;
  ReportPageWriter& operator=(ReportPageWriter&&) = delete;
  ~ReportPageWriter();

  // Nothing in another process than the one that called Open, and nothing once
  // the page was cleared. Where there is no room for failures they are left out
  // and one says so; a status has room for some ten thousand tests, then the
  // record is left out.
  void Write(const protocol::TestProgress& progress);

 private:
  ReportPageWriter() = default;
  char* memory_ = nullptr;
  std::uint32_t pid_ = 0;
};

// The harness's side.
class ReportPage {
 public:
  // Anonymous memory that a descriptor can be passed of; the name is seen in
  // /proc/PID/maps of whoever has mapped it.
  static Result<ReportPage> Create(const std::string& name);
  ReportPage(ReportPage&& other) noexcept;
  ReportPage& operator=(ReportPage&&) = delete;
  ~ReportPage();

  // Borrowed. Of no use to whoever changes its size: it is sealed (Linux).
  int fd() const { return fd_.get(); }
  // Forgets what is written and gives its memory back.
  void Clear();
  // What is committed so far; whoever writes may go on meanwhile. An error when
  // it is damaged: what could be read before the damage is lost too.
  Result<std::vector<protocol::TestProgress>> Read() const;

 private:
  ReportPage() = default;
  UniqueFd fd_;
  char* memory_ = nullptr;
};

}  // namespace forkserver
