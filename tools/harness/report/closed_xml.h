// An XML document that grows, and is complete at every moment: a process that
// is killed between any two instructions of an append leaves a document that
// any parser reads. Each append costs what it appends, not what is there.
//
// How. Behind the content are the end tags, and they never cross a border of
// pages (4096 bytes): the system copies what is written page by page, and a
// kill takes effect between two of them. What fits into the page of the end
// tags is one write over them. Anything else begins in the next page, hidden
// from readers in a processing instruction until it is complete; then one write
// within the old page makes a comment of the old end tags and of the
// instruction's beginning:
//
//    ...</a></testsuites>      \n | <?q --> MORE </a></testsuites><?r ?>
//    ...<!--                     | <?q --> MORE </a></testsuites><?r ?>
//
// Such comments and instructions stand between elements, never in their text.
//
// A file without a way back (a pipe) gets the end tags when it is closed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tools/harness/report/report_file.h"

namespace forkserver::harness {

// Where something is in the file.
struct FileRange {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

class ClosedXml {
 public:
  // Opens a file with `head` and the end tags, together shorter than a page.
  static Result<ClosedXml> Create(std::string option, const std::string& path,
                                  std::string_view head, std::string end_tags);

  // Appends whole elements; what has to be closed after them is in
  // `end_tags`. What cannot be written leaves the document as it was, and
  // nothing is appended after that. Where the text is, for reading it back: a
  // few characters of it may have become references.
  FileRange Append(std::string_view elements, std::string end_tags);

  // Nothing is appended any more. Without it a stream has no end tags.
  void Close();

  ReportFile& file() { return file_; }

 private:
  explicit ClosedXml(ReportFile file) : file_(std::move(file)) {}
  FileRange AppendInNextPage(std::string_view elements, std::string end_tags);

  ReportFile file_;
  std::string end_tags_;
  std::uint64_t end_tags_at_ = 0;
};

}  // namespace forkserver::harness
